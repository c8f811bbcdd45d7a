#define _GNU_SOURCE
/*
 * The reference for moving bytes: `generate PORT BYTES` writes zeros, `copy PORT TO` passes one connection on, `splice PORT TO` does so by splice(2), `sink PORT` throws
 * away what comes. For the other direction `give PORT BYTES` writes to whoever connects, and `fetch PORT` reads. `pace BYTES RATE`
 * writes to its output, 32 KiB at a time, so many bytes a second. Loopback, blocking, a page-aligned buffer of 1 MiB. `copy` and `splice` say "done" when all has passed and then waits for
 * its end, so that its CPU time can be read.
 */
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { buffer_bytes = 1 << 20 };

static struct sockaddr_in loopback(const char *port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(port))};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

static void die(const char *what) {
  perror(what);
  exit(1);
}

static int accept_one(const char *port) {
  int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1;
  struct sockaddr_in address = loopback(port);
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 1) < 0) die("listen");
  puts("ready");
  fflush(stdout);
  int stream = accept(listener, NULL, NULL);
  if (stream < 0) die("accept");
  return stream;
}

static int connect_to(const char *port) {
  int stream = socket(AF_INET, SOCK_STREAM, 0), on = 1;
  struct sockaddr_in address = loopback(port);
  if (connect(stream, (struct sockaddr *)&address, sizeof address) < 0) die("connect");
  setsockopt(stream, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return stream;
}

static void write_all(int stream, const char *bytes, size_t count) {
  while (count > 0) {
    ssize_t written = write(stream, bytes, count);
    if (written < 0) die("write");
    bytes += written;
    count -= (size_t)written;
  }
}

static void zeros(int to, const char *buffer, long long left) {
  for (; left > 0; left -= buffer_bytes)
    write_all(to, buffer, left < buffer_bytes ? (size_t)left : buffer_bytes);
}

static void pace(const char *buffer, double bytes, double rate) {
  enum { piece = 32 * 1024 };
  struct timespec begin, due;
  clock_gettime(CLOCK_MONOTONIC, &begin);
  for (double sent = 0; sent < bytes; sent += piece) {
    double at = (double)begin.tv_sec + (double)begin.tv_nsec / 1e9 + sent / rate;
    due.tv_sec = (time_t)at;
    due.tv_nsec = (long)((at - (double)due.tv_sec) * 1e9);
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL) != 0) {
    }
    write_all(STDOUT_FILENO, buffer, piece);
  }
}

static void splice_on(int from, int to) {
  int ends[2];
  if (pipe(ends) < 0) die("pipe");
  if (fcntl(ends[1], F_SETPIPE_SZ, buffer_bytes) < 0) die("F_SETPIPE_SZ");
  ssize_t got;
  while ((got = splice(from, NULL, ends[1], NULL, buffer_bytes, SPLICE_F_MOVE)) > 0)
    for (ssize_t sent; got > 0; got -= sent)
      if ((sent = splice(ends[0], NULL, to, NULL, (size_t)got, SPLICE_F_MOVE)) <= 0) die("splice");
}

int main(int count, char **words) {
  char *buffer = mmap(NULL, buffer_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (buffer == MAP_FAILED) die("mmap");
  if (count == 4 && strcmp(words[1], "generate") == 0) {
    zeros(connect_to(words[2]), buffer, atoll(words[3]));
  } else if (count == 4 && strcmp(words[1], "give") == 0) {
    zeros(accept_one(words[2]), buffer, atoll(words[3]));
  } else if (count == 4 && strcmp(words[1], "pace") == 0) {
    pace(buffer, atof(words[2]), atof(words[3]));
  } else if (count == 3 && strcmp(words[1], "fetch") == 0) {
    int from = connect_to(words[2]);
    while (read(from, buffer, buffer_bytes) > 0) {
    }
  } else if (count == 4 && (strcmp(words[1], "copy") == 0 || strcmp(words[1], "splice") == 0)) {
    int from = accept_one(words[2]), to = connect_to(words[3]);
    ssize_t got;
    if (words[1][0] == 's') splice_on(from, to);
    else
      while ((got = read(from, buffer, buffer_bytes)) > 0) write_all(to, buffer, (size_t)got);
    shutdown(to, SHUT_WR);
    puts("done");
    fflush(stdout);
    pause();
  } else if (count == 3 && strcmp(words[1], "sink") == 0) {
    int from = accept_one(words[2]);
    while (read(from, buffer, buffer_bytes) > 0) {
    }
  } else {
    fputs("usage: generate PORT BYTES | copy PORT TO | splice PORT TO | sink PORT | give PORT BYTES | fetch PORT | pace BYTES RATE\n", stderr);
    return 2;
  }
  return 0;
}

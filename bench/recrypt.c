/*
 * What a proxy in C costs that decrypts and encrypts with OpenSSL and does nothing else: no key exchange, no windows, a fixed key,
 * and the batches of native/packets.c. Loopback, reads of 1 MiB into page-aligned memory, no moderation.
 *
 * generate PORT BYTES CIPHER        seals packets of 32 KiB, as fast as it goes
 * pass PORT TO CIPHER               opens and seals both ways; says "done" at the end and then waits for its own
 * sink PORT                         throws away what comes
 * between PORT TO CIPHER           passes connections on as they are, so that real ends may speak over it, and seals and opens as many bytes beside
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../native/packets.h"

enum { read_bytes = 1 << 20, batch_packets = 64, bulk_body = 32768 + 16, max_ways = 64 };

/* One way through: what was read and is not whole yet stays before the next read. */
struct way {
  int from, to;
  postern_direction *open, *seal;
  uint32_t opened;
  uint8_t *bytes;
  size_t start, end;
};

static void die(const char *what) {
  perror(what);
  exit(1);
}

static struct sockaddr_in loopback(const char *port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(port))};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

static int undelayed(int stream) {
  int on = 1;
  if (stream < 0) die("accept");
  setsockopt(stream, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return stream;
}

static int listen_on(const char *port) {
  int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1;
  struct sockaddr_in address = loopback(port);
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 8) < 0) die("listen");
  puts("ready");
  fflush(stdout);
  return listener;
}

static int accept_one(const char *port) { return undelayed(accept(listen_on(port), NULL, NULL)); }

static int connect_to(const char *port) {
  int stream = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in address = loopback(port);
  if (connect(stream, (struct sockaddr *)&address, sizeof address) < 0) die("connect");
  return undelayed(stream);
}

static void write_all(int stream, const uint8_t *bytes, size_t count) {
  while (count > 0) {
    ssize_t written = write(stream, bytes, count);
    if (written < 0) die("write");
    bytes += written;
    count -= (size_t)written;
  }
}

static uint8_t *pages(size_t count) {
  void *made = mmap(NULL, count, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (made == MAP_FAILED) die("mmap");
  return made;
}

static postern_direction *direction(const char *name, int sealing) {
  static const uint8_t key[64] = {1}, iv[12] = {2};
  int chacha = strcmp(name, "chacha20-poly1305") == 0;
  postern_direction *made = chacha ? postern_direction_new(POSTERN_CHACHA_POLY, sealing, key, 64, NULL, 0)
                                   : postern_direction_new(POSTERN_AES128_GCM, sealing, key, 16, iv, 12);
  if (made == NULL) die("no such cipher");
  return made;
}

static struct way way(int from, int to, const char *cipher) {
  struct way made = {.from = from, .to = to, .open = direction(cipher, 0), .seal = direction(cipher, 1)};
  made.bytes = pages(2 * read_bytes);
  return made;
}

/* 0 at the end of the stream. */
static int move(struct way *way) {
  ssize_t got = read(way->from, way->bytes + way->end, read_bytes);
  if (got <= 0) return 0;
  way->end += (size_t)got;
  size_t start = 0, next = 0;
  uint32_t opened[2 * batch_packets], table[3 * batch_packets], bad = 0;
  int count;
  while ((count = postern_open(way->open, way->bytes, start, way->end, way->opened, batch_packets, opened, &next, &bad)) > 0) {
    for (int n = 0; n < count; n++) {
      table[3 * n] = opened[2 * n] - POSTERN_LENGTH_BYTES;
      table[3 * n + 1] = opened[2 * n + 1] - opened[2 * n];
      table[3 * n + 2] = opened[2 * n];
    }
    if (postern_seal(way->seal, way->bytes, way->end, way->bytes, way->end, table, (uint32_t)count, way->opened) != 0) die("seal");
    way->opened += (uint32_t)count;
    start = next;
  }
  if (count < 0) die("open");
  write_all(way->to, way->bytes, start);
  memmove(way->bytes, way->bytes + start, way->end - start);
  way->end -= start;
  return 1;
}

static void pass(const char *port, const char *to, const char *cipher) {
  int near = accept_one(port), far = connect_to(to), open = 2;
  struct way ways[2] = {way(near, far, cipher), way(far, near, cipher)};
  struct pollfd watched[2] = {{.fd = near, .events = POLLIN}, {.fd = far, .events = POLLIN}};
  while (open > 0) {
    if (poll(watched, 2, -1) < 0) die("poll");
    for (int n = 0; n < 2; n++) {
      if (watched[n].revents == 0 || move(&ways[n])) continue;
      shutdown(ways[n].to, SHUT_WR);
      watched[n].fd = -1;
      open--;
    }
  }
  puts("done");
  fflush(stdout);
  pause();
}

static void generate(const char *port, double bytes, const char *cipher) {
  enum { packet = POSTERN_LENGTH_BYTES + bulk_body + POSTERN_TAG_BYTES, at_once = 31 };
  int to = connect_to(port);
  uint32_t sequence = 0, table[3 * batch_packets];
  postern_direction *seal = direction(cipher, 1);
  uint8_t *buffer = pages(read_bytes);
  for (double sent = 0; sent < bytes; sent += (double)at_once * bulk_body) {
    for (uint32_t n = 0; n < at_once; n++) {
      table[3 * n] = n * packet;
      table[3 * n + 1] = bulk_body;
      table[3 * n + 2] = n * packet + POSTERN_LENGTH_BYTES;
    }
    if (postern_seal(seal, buffer, read_bytes, buffer, read_bytes, table, at_once, sequence) != 0) die("seal");
    sequence += at_once;
    write_all(to, buffer, (size_t)at_once * packet);
  }
}

/* The work that a read of so many bytes would be, with nothing of it sent. */
static void work(struct way *way, size_t count) {
  static uint8_t *packets;
  if (packets == NULL) packets = pages(POSTERN_LENGTH_BYTES + bulk_body + POSTERN_TAG_BYTES);
  while (count > 0) {
    size_t body = count < bulk_body ? (count + 15) / 16 * 16 : bulk_body, next = 0, size = POSTERN_LENGTH_BYTES + body + POSTERN_TAG_BYTES;
    uint32_t sealed[3] = {0, (uint32_t)body, POSTERN_LENGTH_BYTES}, opened[2], bad = 0;
    if (postern_seal(way->seal, packets, size, packets, size, sealed, 1, way->opened) != 0) die("seal");
    if (postern_open(way->open, packets, 0, size, way->opened, 1, opened, &next, &bad) != 1) die("open");
    way->opened++;
    count -= count < body ? count : body;
  }
}

/* What was read goes on before more is read. 0 at the end of either stream. */
static int move_on(struct way *way) {
  if (way->start == way->end) {
    ssize_t got = read(way->from, way->bytes, read_bytes);
    if (got <= 0) return 0;
    work(way, (size_t)got);
    way->start = 0;
    way->end = (size_t)got;
  }
  ssize_t written = write(way->to, way->bytes + way->start, way->end - way->start);
  if (written < 0 && errno != EAGAIN) return 0;
  if (written > 0) way->start += (size_t)written;
  return 1;
}

static void between(const char *port, const char *to, const char *cipher) {
  static struct way ways[max_ways];
  struct pollfd watched[max_ways + 1] = {{.fd = listen_on(port), .events = POLLIN}};
  int count = 0;
  signal(SIGPIPE, SIG_IGN);
  for (;;) {
    for (int n = 0; n < count; n++) {
      if (watched[n + 1].fd < 0) continue;
      int full = ways[n].start < ways[n].end;
      watched[n + 1].fd = full ? ways[n].to : ways[n].from;
      watched[n + 1].events = full ? POLLOUT : POLLIN;
    }
    if (poll(watched, (nfds_t)count + 1, -1) < 0) die("poll");
    for (int n = 0; n < count; n++) {
      if (watched[n + 1].revents == 0 || move_on(&ways[n])) continue;
      shutdown(ways[n].to, SHUT_WR);
      shutdown(ways[n].from, SHUT_RD);
      watched[n + 1].fd = -1;
    }
    if (watched[0].revents == 0) continue;
    if (count + 2 > max_ways) die("connections");
    int near = undelayed(accept(watched[0].fd, NULL, NULL)), far = connect_to(to);
    if (fcntl(near, F_SETFL, O_NONBLOCK) < 0 || fcntl(far, F_SETFL, O_NONBLOCK) < 0) die("fcntl");
    for (int n = 0; n < 2; n++, count++) {
      ways[count] = n == 0 ? way(near, far, cipher) : way(far, near, cipher);
      watched[count + 1].fd = ways[count].from;
    }
  }
}

static void take(const char *port) {
  int from = accept_one(port);
  uint8_t *buffer = pages(read_bytes);
  while (read(from, buffer, read_bytes) > 0) {
  }
}

int main(int count, char **words) {
  const char *what = count > 2 ? words[1] : "";
  if (count == 5 && strcmp(what, "generate") == 0) generate(words[2], atof(words[3]), words[4]);
  else if (count == 5 && strcmp(what, "pass") == 0) pass(words[2], words[3], words[4]);
  else if (count == 5 && strcmp(what, "between") == 0) between(words[2], words[3], words[4]);
  else if (count == 3 && strcmp(what, "sink") == 0) take(words[2]);
  else {
    fputs("usage: generate PORT BYTES CIPHER | pass PORT TO CIPHER | between PORT TO CIPHER | sink PORT\n", stderr);
    return 2;
  }
  return 0;
}

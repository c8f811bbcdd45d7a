/*
 * `npm run test:native`: the core under AddressSanitizer and UndefinedBehaviorSanitizer, with the OpenSSL of the system.
 *
 * Packets are sealed, from elsewhere and in place, and opened again, cut and changed at random, in blocks of exactly their size, so
 * that one byte read or written too far is seen. Usage: packets-fuzz RUNS [SEED]
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "packets.h"

#define MAX_PACKETS 64u

static uint64_t state;

static uint32_t any(uint32_t below) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return below == 0 ? 0 : (uint32_t)(state >> 16) % below;
}

static void check(int holds, const char *what, uint64_t run) {
  if (holds) return;
  fprintf(stderr, "run %" PRIu64 ": %s\n", run, what);
  exit(1);
}

static void fill(uint8_t *bytes, size_t count) {
  for (size_t n = 0; n < count; n++) bytes[n] = (uint8_t)any(256);
}

static void one_run(uint64_t run) {
  static const size_t key_bytes[] = {16, 32, 64};
  uint8_t key[64], iv[12];
  int cipher = (int)any(3);
  size_t iv_bytes = cipher == POSTERN_CHACHA_POLY ? 0 : sizeof iv;
  uint32_t block = cipher == POSTERN_CHACHA_POLY ? 8 : 16;
  uint32_t sequence = any(4) == 0 ? UINT32_MAX - any(4) : any(1000);
  fill(key, sizeof key);
  fill(iv, sizeof iv);
  postern_direction *seal = postern_direction_new(cipher, 1, key, key_bytes[cipher], iv, iv_bytes);
  postern_direction *open = postern_direction_new(cipher, 0, key, key_bytes[cipher], iv, iv_bytes);
  check(seal != NULL && open != NULL, "no cipher", run);

  uint32_t count = 1 + any(MAX_PACKETS), table[3 * MAX_PACKETS], opened[2 * MAX_PACKETS];
  size_t size = 0, input_size = 0;
  for (uint32_t n = 0; n < count; n++) {
    uint32_t length = block * (1 + any(any(20) == 0 ? 4096 : 16));
    if (length < POSTERN_MIN_BODY) length = block;
    input_size += any(8);
    table[3 * n] = (uint32_t)size;
    table[3 * n + 1] = length;
    table[3 * n + 2] = (uint32_t)input_size;
    size += POSTERN_LENGTH_BYTES + length + POSTERN_TAG_BYTES;
    input_size += length;
  }
  uint8_t *bytes = malloc(size), *plain = malloc(size), *input = malloc(input_size), *kept = malloc(input_size);
  check(bytes != NULL && plain != NULL && input != NULL && kept != NULL, "no memory", run);
  fill(plain, size);
  fill(input, input_size);
  for (uint32_t n = 0; n < count; n++)
    memcpy(plain + table[3 * n] + POSTERN_LENGTH_BYTES, input + table[3 * n + 2], table[3 * n + 1]);
  memcpy(kept, input, input_size);
  memcpy(bytes, plain, size);
  /* Each refused call wears its direction out. */
  const uint32_t askew[3] = {0, table[1], POSTERN_LENGTH_BYTES + 1};
  const struct {
    const char *what;
    const uint8_t *input;
    size_t input_size, size;
    const uint32_t *table;
    uint32_t count;
  } wrong[] = {{"a tag beyond the end", input, input_size, size - 1, table, count},
               {"input beyond its end", input, input_size - 1, size, table, count},
               {"input under the output", bytes, size, size, askew, 1}};
  for (size_t n = 0; n < sizeof wrong / sizeof wrong[0]; n++) {
    check(postern_seal(seal, wrong[n].input, wrong[n].input_size, bytes, wrong[n].size, wrong[n].table, wrong[n].count,
                       sequence) == POSTERN_FAILED,
          wrong[n].what, run);
    check(postern_seal(seal, input, input_size, bytes, size, table, count, sequence) == POSTERN_WORN_OUT,
          "sealed after an error", run);
    postern_direction_free(seal);
    seal = postern_direction_new(cipher, 1, key, key_bytes[cipher], iv, iv_bytes);
  }
  memcpy(bytes, plain, size);
  check(postern_seal(seal, input, input_size, bytes, size, table, count, sequence) == 0, "not sealed", run);
  check(memcmp(input, kept, input_size) == 0, "the input is another", run);
  free(input);
  free(kept);
  /* The same where the bodies lie where they go. */
  uint8_t *place = malloc(size);
  check(place != NULL, "no memory", run);
  memcpy(place, plain, size);
  postern_direction_free(seal);
  seal = postern_direction_new(cipher, 1, key, key_bytes[cipher], iv, iv_bytes);
  for (uint32_t n = 0; n < count; n++) table[3 * n + 2] = table[3 * n] + POSTERN_LENGTH_BYTES;
  check(postern_seal(seal, place, size, place, size, table, count, sequence) == 0, "not sealed in place", run);
  check(memcmp(place, bytes, size) == 0, "sealed otherwise in place", run);
  free(place);
  check(postern_open(seal, bytes, 0, size, sequence, 1, opened, &(size_t){0}, &(uint32_t){0}) < 0, "a sealer opened", run);

  size_t next = 0, whole = size;
  uint32_t bad = 0;
  /* What comes is cut, and perhaps changed in one byte; it is opened in batches. */
  size_t end = any(3) == 0 ? any((uint32_t)size + 1) : size;
  size_t changed = any(2) == 0 ? size : any((uint32_t)size);
  uint8_t *wire = malloc(end > 0 ? end : 1);
  check(wire != NULL, "no memory", run);
  memcpy(wire, bytes, end);
  if (changed < end) wire[changed] ^= (uint8_t)(1 + any(255));
  uint32_t done = 0;
  int result = 1;
  while (result > 0) {
    result = postern_open(open, wire, next, end, sequence + done, 1 + any(MAX_PACKETS), opened, &next, &bad);
    for (int n = 0; n < result; n++, done++) {
      const uint32_t *row = table + 3 * done;
      check(opened[2 * n] == row[0] + POSTERN_LENGTH_BYTES, "a body at another place", run);
      check(opened[2 * n + 1] - opened[2 * n] == row[1], "a body of another length", run);
      check(memcmp(wire + opened[2 * n], plain + opened[2 * n], row[1]) == 0, "another body", run);
      check(changed < row[0] || changed >= row[0] + POSTERN_LENGTH_BYTES + row[1] + POSTERN_TAG_BYTES,
            "a changed packet was opened", run);
    }
  }
  if (changed >= end && end == whole) check(result == 0 && done == count && next == size, "not all was opened", run);
  if (result < 0)
    check(postern_open(open, wire, 0, end, 0, 1, opened, &next, &bad) == POSTERN_WORN_OUT, "used after an error", run);
  free(wire);
  free(bytes);
  free(plain);
  postern_direction_free(seal);
  postern_direction_free(open);
}

/* Bytes that nobody sealed. */
static void noise(uint64_t run) {
  uint8_t key[64] = {0}, iv[12] = {0};
  int cipher = (int)any(3);
  static const size_t key_bytes[] = {16, 32, 64};
  postern_direction *open =
      postern_direction_new(cipher, 0, key, key_bytes[cipher], iv, cipher == POSTERN_CHACHA_POLY ? 0 : sizeof iv);
  size_t size = any(400), next = 0;
  uint32_t bad = 0, table[2];
  uint8_t *bytes = malloc(size > 0 ? size : 1);
  check(open != NULL && bytes != NULL, "no memory", run);
  fill(bytes, size);
  if (size >= 4 && any(2) == 0) memset(bytes, 0, 3);
  int result = postern_open(open, bytes, 0, size, (uint32_t)run, 1, table, &next, &bad);
  check(result <= 0, "noise was opened", run);
  free(bytes);
  postern_direction_free(open);
}

int main(int argc, char **argv) {
  uint64_t runs = argc > 1 ? strtoull(argv[1], NULL, 10) : 2000;
  state = argc > 2 ? strtoull(argv[2], NULL, 10) : 0x9e3779b97f4a7c15ULL;
  for (uint64_t run = 0; run < runs; run++) {
    one_run(run);
    noise(run);
  }
  check(postern_direction_new(7, 1, NULL, 0, NULL, 0) == NULL, "a cipher that is none", 0);
  postern_direction_free(NULL);
  printf("%" PRIu64 " runs\n", runs);
  return 0;
}

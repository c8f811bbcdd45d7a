/*
 * Batches of SSH packets, opened in place and sealed with the AEAD ciphers of OpenSSL.
 *
 * Law: nothing here but the ciphers. A packet is `length (4) | body | tag (16)`; what a body holds is TypeScript's affair
 * (src/ssh/algorithms/packet-cipher.ts says what is promised, and the pure path there does the same with node:crypto).
 */
#ifndef POSTERN_PACKETS_H
#define POSTERN_PACKETS_H

#include <stddef.h>
#include <stdint.h>

/* As in packet-cipher.ts: no length above it is trusted; none below it can hold a packet. In bytes of body. */
#define POSTERN_MAX_BODY (256u * 1024u)
#define POSTERN_MIN_BODY 6u
#define POSTERN_LENGTH_BYTES 4u
#define POSTERN_TAG_BYTES 16u

enum postern_cipher {
  POSTERN_AES128_GCM = 0, /* RFC 5647 as OpenSSH uses it; key 16 bytes, IV 12 */
  POSTERN_AES256_GCM = 1, /* key 32 bytes, IV 12 */
  POSTERN_CHACHA_POLY = 2 /* PROTOCOL.chacha20poly1305 of OpenSSH; key 64 bytes, no IV */
};

enum postern_error {
  POSTERN_BAD_LENGTH = -1, /* too long, too short, not aligned */
  POSTERN_BAD_TAG = -2,    /* not what the peer sealed */
  POSTERN_FAILED = -3,     /* OpenSSL refused, or the arguments do not fit together */
  POSTERN_WORN_OUT = -4    /* an earlier error made it unusable */
};

/* One direction under one set of keys. */
typedef struct postern_direction postern_direction;

/* NULL when the lengths do not fit the cipher, or OpenSSL has no such cipher. `key` and `iv` may be wiped after the call. */
postern_direction *postern_direction_new(int cipher, int sealing, const uint8_t *key, size_t key_bytes,
                                         const uint8_t *iv, size_t iv_bytes);

/* Wipes the keys. NULL is allowed. */
void postern_direction_free(postern_direction *direction);

/*
 * Opens up to `max` whole packets of `bytes[start, end)` in place. For packet n, `table[2n]` and `table[2n + 1]` are set to the
 * offsets of its body's begin and end; the table has room for 2 * max. `next` is set to the offset after the last packet opened.
 * Returns their number, or an error, after which nothing of the batch may be used; `bad_length` is then set for POSTERN_BAD_LENGTH.
 */
int postern_open(postern_direction *direction, uint8_t *bytes, size_t start, size_t end, uint32_t sequence, uint32_t max,
                 uint32_t *table, size_t *next, uint32_t *bad_length);

/*
 * Seals `count` packets. Packet n goes to offset `table[3n]` of `bytes`, where its length, body and tag have room; its body is
 * `table[3n + 1]` bytes in plain at offset `table[3n + 2]` of `input`. That is either where the body goes, or a place that no packet
 * of the call goes to. Nothing is read beyond `input_size` nor written beyond `size`. Returns 0 or an error, after which nothing of
 * the batch may leave.
 */
int postern_seal(postern_direction *direction, const uint8_t *input, size_t input_size, uint8_t *bytes, size_t size,
                 const uint32_t *table, uint32_t count, uint32_t sequence);

#endif

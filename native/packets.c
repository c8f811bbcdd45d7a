#include "packets.h"

#include <stdlib.h>
#include <string.h>

#include "evp.h"

#define GCM_IV_BYTES 12
#define CHACHA_IV_BYTES 16
#define POLY_KEY_BYTES 32

struct postern_direction {
  int cipher;
  int sealing;
  int worn_out;
  EVP_CIPHER_CTX *body;
  /* ChaCha20 only: the second key, for the length, and the MAC. */
  EVP_CIPHER_CTX *length;
  EVP_MAC_CTX *mac;
  /* GCM: four fixed bytes and the invocation counter (RFC 5647, section 7.1). */
  uint8_t iv[GCM_IV_BYTES];
};

static uint32_t read_uint32(const uint8_t *at) {
  return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | (uint32_t)at[3];
}

static void write_uint32(uint8_t *at, uint32_t value) {
  at[0] = (uint8_t)(value >> 24);
  at[1] = (uint8_t)(value >> 16);
  at[2] = (uint8_t)(value >> 8);
  at[3] = (uint8_t)value;
}

static uint32_t block_bytes(int cipher) { return cipher == POSTERN_CHACHA_POLY ? 8 : 16; }

static int body_length_is_good(int cipher, uint32_t length) {
  return length >= POSTERN_MIN_BODY && length <= POSTERN_MAX_BODY && length % block_bytes(cipher) == 0;
}

static EVP_CIPHER_CTX *keyed(const EVP_CIPHER *cipher, const uint8_t *key, int sealing) {
  EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
  if (ctx == NULL) return NULL;
  /* GCM's IV is 12 bytes unless another length is set. */
  if (EVP_CipherInit_ex(ctx, cipher, NULL, key, NULL, sealing) != 1) {
    EVP_CIPHER_CTX_free(ctx);
    return NULL;
  }
  return ctx;
}

postern_direction *postern_direction_new(int cipher, int sealing, const uint8_t *key, size_t key_bytes,
                                         const uint8_t *iv, size_t iv_bytes) {
  static const size_t keys[] = {16, 32, 64};
  if (cipher < POSTERN_AES128_GCM || cipher > POSTERN_CHACHA_POLY) return NULL;
  if (key_bytes != keys[cipher]) return NULL;
  if (iv_bytes != (cipher == POSTERN_CHACHA_POLY ? 0u : (size_t)GCM_IV_BYTES)) return NULL;
  postern_direction *direction = calloc(1, sizeof *direction);
  if (direction == NULL) return NULL;
  direction->cipher = cipher;
  direction->sealing = sealing != 0;
  if (cipher != POSTERN_CHACHA_POLY) {
    memcpy(direction->iv, iv, GCM_IV_BYTES);
    direction->body =
        keyed(cipher == POSTERN_AES128_GCM ? EVP_aes_128_gcm() : EVP_aes_256_gcm(), key, direction->sealing);
    if (direction->body != NULL) return direction;
  } else {
    /* A stream cipher: both directions encrypt. */
    direction->body = keyed(EVP_chacha20(), key, 1);
    direction->length = keyed(EVP_chacha20(), key + 32, 1);
    EVP_MAC *poly1305 = EVP_MAC_fetch(NULL, "POLY1305", NULL);
    if (poly1305 != NULL) {
      direction->mac = EVP_MAC_CTX_new(poly1305);
      EVP_MAC_free(poly1305);
    }
    if (direction->body != NULL && direction->length != NULL && direction->mac != NULL) return direction;
  }
  postern_direction_free(direction);
  return NULL;
}

void postern_direction_free(postern_direction *direction) {
  if (direction == NULL) return;
  /* OpenSSL wipes the keys inside. */
  EVP_CIPHER_CTX_free(direction->body);
  EVP_CIPHER_CTX_free(direction->length);
  EVP_MAC_CTX_free(direction->mac);
  OPENSSL_cleanse(direction, sizeof *direction);
  free(direction);
}

static void next_invocation(uint8_t *iv) {
  for (int i = GCM_IV_BYTES - 1; i >= 4; i--) {
    if (++iv[i] != 0) return;
  }
}

/* `packet` begins with the length in clear, which is authenticated; the body is made from `input`, which may be its own place. */
static int gcm(postern_direction *direction, uint8_t *packet, const uint8_t *input, uint32_t length) {
  EVP_CIPHER_CTX *ctx = direction->body;
  uint8_t *body = packet + POSTERN_LENGTH_BYTES;
  uint8_t *tag = body + length;
  uint8_t none[POSTERN_TAG_BYTES];
  int done = 0;
  if (EVP_CipherInit_ex(ctx, NULL, NULL, NULL, direction->iv, -1) != 1) return POSTERN_FAILED;
  if (!direction->sealing && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, POSTERN_TAG_BYTES, tag) != 1)
    return POSTERN_FAILED;
  if (EVP_CipherUpdate(ctx, NULL, &done, packet, POSTERN_LENGTH_BYTES) != 1) return POSTERN_FAILED;
  if (EVP_CipherUpdate(ctx, body, &done, input, (int)length) != 1 || (uint32_t)done != length) return POSTERN_FAILED;
  /* Where opening ends, OpenSSL compares the tag in constant time. */
  if (EVP_CipherFinal_ex(ctx, none, &done) != 1) return direction->sealing ? POSTERN_FAILED : POSTERN_BAD_TAG;
  if (direction->sealing && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, POSTERN_TAG_BYTES, tag) != 1)
    return POSTERN_FAILED;
  next_invocation(direction->iv);
  return 0;
}

/* IV of OpenSSL's chacha20: 8 bytes of block counter, little-endian, and 8 bytes of nonce, here the sequence number. */
static void chacha_iv(uint8_t *iv, uint32_t sequence) {
  memset(iv, 0, CHACHA_IV_BYTES);
  write_uint32(iv + 12, sequence);
}

static int chacha_length(postern_direction *direction, const uint8_t *in, uint8_t *out, uint32_t sequence) {
  uint8_t iv[CHACHA_IV_BYTES];
  int done = 0;
  chacha_iv(iv, sequence);
  if (EVP_CipherInit_ex(direction->length, NULL, NULL, NULL, iv, -1) != 1) return POSTERN_FAILED;
  if (EVP_CipherUpdate(direction->length, out, &done, in, POSTERN_LENGTH_BYTES) != 1) return POSTERN_FAILED;
  return done == (int)POSTERN_LENGTH_BYTES ? 0 : POSTERN_FAILED;
}

static int poly_tag(postern_direction *direction, const uint8_t *key, const uint8_t *packet, uint32_t length,
                    uint8_t *tag) {
  size_t tag_bytes = 0;
  if (EVP_MAC_init(direction->mac, key, POLY_KEY_BYTES, NULL) != 1) return POSTERN_FAILED;
  if (EVP_MAC_update(direction->mac, packet, POSTERN_LENGTH_BYTES + (size_t)length) != 1) return POSTERN_FAILED;
  if (EVP_MAC_final(direction->mac, tag, &tag_bytes, POSTERN_TAG_BYTES) != 1) return POSTERN_FAILED;
  return tag_bytes == POSTERN_TAG_BYTES ? 0 : POSTERN_FAILED;
}

/* Block 0 of the body's key stream begins with the key of the MAC; the body starts at block 1. */
static int chacha_body(postern_direction *direction, uint8_t *packet, const uint8_t *input, uint32_t length,
                       uint32_t sequence) {
  static const uint8_t zeros[64];
  uint8_t block[64];
  uint8_t iv[CHACHA_IV_BYTES];
  uint8_t expected[POSTERN_TAG_BYTES];
  uint8_t *body = packet + POSTERN_LENGTH_BYTES;
  uint8_t *tag = body + length;
  int done = 0;
  int result = POSTERN_FAILED;
  chacha_iv(iv, sequence);
  if (EVP_CipherInit_ex(direction->body, NULL, NULL, NULL, iv, -1) != 1) return POSTERN_FAILED;
  if (EVP_CipherUpdate(direction->body, block, &done, zeros, (int)sizeof block) != 1) goto out;
  if (!direction->sealing) {
    if (poly_tag(direction, block, packet, length, expected) != 0) goto out;
    if (CRYPTO_memcmp(expected, tag, POSTERN_TAG_BYTES) != 0) {
      result = POSTERN_BAD_TAG;
      goto out;
    }
  }
  if (EVP_CipherUpdate(direction->body, body, &done, input, (int)length) != 1 || (uint32_t)done != length) goto out;
  if (direction->sealing) {
    if (chacha_length(direction, packet, packet, sequence) != 0) goto out;
    if (poly_tag(direction, block, packet, length, tag) != 0) goto out;
  }
  result = 0;
out:
  OPENSSL_cleanse(block, sizeof block);
  OPENSSL_cleanse(expected, sizeof expected);
  return result;
}

static int one_packet(postern_direction *direction, uint8_t *packet, const uint8_t *input, uint32_t length,
                      uint32_t sequence) {
  if (direction->cipher == POSTERN_CHACHA_POLY) return chacha_body(direction, packet, input, length, sequence);
  return gcm(direction, packet, input, length);
}

static int give_up(postern_direction *direction, int error) {
  direction->worn_out = 1;
  return error;
}

int postern_open(postern_direction *direction, uint8_t *bytes, size_t start, size_t end, uint32_t sequence, uint32_t max,
                 uint32_t *table, size_t *next, uint32_t *bad_length) {
  uint32_t count = 0;
  size_t at = start;
  if (direction->sealing || start > end || end > UINT32_MAX) return POSTERN_FAILED;
  if (direction->worn_out) return POSTERN_WORN_OUT;
  while (count < max && end - at >= POSTERN_LENGTH_BYTES) {
    uint8_t opened[POSTERN_LENGTH_BYTES];
    const uint8_t *field = bytes + at;
    if (direction->cipher == POSTERN_CHACHA_POLY) {
      if (chacha_length(direction, field, opened, sequence) != 0) return give_up(direction, POSTERN_FAILED);
      field = opened;
    }
    uint32_t length = read_uint32(field);
    if (!body_length_is_good(direction->cipher, length)) {
      *bad_length = length;
      return give_up(direction, POSTERN_BAD_LENGTH);
    }
    if (end - at < POSTERN_LENGTH_BYTES + (size_t)length + POSTERN_TAG_BYTES) break;
    int result = one_packet(direction, bytes + at, bytes + at + POSTERN_LENGTH_BYTES, length, sequence);
    if (result != 0) {
      /* What was opened before its tag was found wrong is nobody's to see. */
      OPENSSL_cleanse(bytes + at + POSTERN_LENGTH_BYTES, length);
      return give_up(direction, result);
    }
    table[2 * count] = (uint32_t)(at + POSTERN_LENGTH_BYTES);
    table[2 * count + 1] = (uint32_t)(at + POSTERN_LENGTH_BYTES + length);
    at += POSTERN_LENGTH_BYTES + (size_t)length + POSTERN_TAG_BYTES;
    sequence++;
    count++;
  }
  *next = at;
  return (int)count;
}

/* OpenSSL reads ahead of what it writes: two places that overlap by a part would be sealed wrong. */
static int one_or_apart(const uint8_t *a, const uint8_t *b, size_t bytes) {
  uintptr_t x = (uintptr_t)a, y = (uintptr_t)b;
  return x == y || (x < y ? y - x : x - y) >= bytes;
}

int postern_seal(postern_direction *direction, const uint8_t *input, size_t input_size, uint8_t *bytes, size_t size,
                 const uint32_t *table, uint32_t count, uint32_t sequence) {
  if (!direction->sealing) return POSTERN_FAILED;
  if (direction->worn_out) return POSTERN_WORN_OUT;
  for (uint32_t n = 0; n < count; n++) {
    size_t at = table[3 * n], from = table[3 * n + 2];
    uint32_t length = table[3 * n + 1];
    /* OpenSSL takes lengths as int. What a body may be is decided by who reads it. */
    if (length > INT32_MAX / 2) return give_up(direction, POSTERN_FAILED);
    if (at > size || size - at < POSTERN_LENGTH_BYTES + (size_t)length + POSTERN_TAG_BYTES)
      return give_up(direction, POSTERN_FAILED);
    if (from > input_size || input_size - from < length) return give_up(direction, POSTERN_FAILED);
    if (!one_or_apart(input + from, bytes + at + POSTERN_LENGTH_BYTES, length))
      return give_up(direction, POSTERN_FAILED);
    write_uint32(bytes + at, length);
    int result = one_packet(direction, bytes + at, input + from, length, sequence++);
    if (result != 0) return give_up(direction, result);
  }
  return 0;
}

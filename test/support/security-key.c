/*
 * A security key made of software, as OpenSSH's clients load one (PROTOCOL.u2f and sk-api.h of OpenSSH). Its key handles are private
 * keys. It is always touched, and its PIN is 1234, unless the environment says otherwise:
 *
 *   POSTERN_TEST_KEY_UNTOUCHED   it signs without a touch, whatever is asked of it
 *   POSTERN_TEST_KEY_UNVERIFIED  it signs without a PIN, whatever is asked of it
 *
 * OpenSSL's functions are declared here, so that its headers are not needed.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { PRESENT = 0x01, VERIFIED = 0x04 };
enum { ECDSA = 0, ED25519 = 1 };
enum { GENERAL = -1, UNSUPPORTED = -2, PIN_REQUIRED = -3 };

struct enrolled {
  uint8_t flags;
  uint8_t *public_key;
  size_t public_key_len;
  uint8_t *key_handle;
  size_t key_handle_len;
  uint8_t *signature;
  size_t signature_len;
  uint8_t *attestation_cert;
  size_t attestation_cert_len;
  uint8_t *authdata;
  size_t authdata_len;
};

struct signed_message {
  uint8_t flags;
  uint32_t counter;
  uint8_t *sig_r;
  size_t sig_r_len;
  uint8_t *sig_s;
  size_t sig_s_len;
};

void *EVP_PKEY_Q_keygen(void *, const char *, const char *, ...);
int EVP_PKEY_get_raw_public_key(const void *, unsigned char *, size_t *);
int EVP_PKEY_get_octet_string_param(const void *, const char *, unsigned char *, size_t, size_t *);
int i2d_PrivateKey(const void *, unsigned char **);
void *d2i_AutoPrivateKey(void **, const unsigned char **, long);
void *EVP_MD_CTX_new(void);
const void *EVP_sha256(void);
int EVP_DigestSignInit(void *, void **, const void *, void *, void *);
int EVP_DigestSign(void *, unsigned char *, size_t *, const unsigned char *, size_t);
unsigned char *SHA256(const unsigned char *, size_t, unsigned char *);
void *d2i_ECDSA_SIG(void **, const unsigned char **, long);
const void *ECDSA_SIG_get0_r(const void *);
const void *ECDSA_SIG_get0_s(const void *);
int BN_bn2binpad(const void *, unsigned char *, int);

uint32_t sk_api_version(void) { return 0x000a0000; }

int sk_enroll(uint32_t alg, const uint8_t *challenge, size_t challenge_len, const char *application, uint8_t flags,
              const char *pin, void *options, struct enrolled **response) {
  (void)challenge, (void)challenge_len, (void)application, (void)options;
  if ((flags & VERIFIED) && (pin == NULL || strcmp(pin, "1234") != 0)) return PIN_REQUIRED;
  if (alg != ECDSA && alg != ED25519) return UNSUPPORTED;
  void *key = alg == ED25519 ? EVP_PKEY_Q_keygen(NULL, NULL, "ED25519") : EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
  struct enrolled *made = calloc(1, sizeof *made);
  if (key == NULL || made == NULL) return GENERAL;
  made->flags = flags;
  made->public_key = calloc(1, 128);
  made->public_key_len = 128;
  if (alg == ED25519) EVP_PKEY_get_raw_public_key(key, made->public_key, &made->public_key_len);
  else EVP_PKEY_get_octet_string_param(key, "pub", made->public_key, 128, &made->public_key_len);
  int length = i2d_PrivateKey(key, &made->key_handle);
  if (length <= 0) return GENERAL;
  made->key_handle_len = length;
  /* No attestation: something that can be freed. */
  made->signature = calloc(1, 1);
  *response = made;
  return 0;
}

int sk_sign(uint32_t alg, const uint8_t *data, size_t data_len, const char *application, const uint8_t *key_handle,
            size_t key_handle_len, uint8_t flags, const char *pin, void *options, struct signed_message **response) {
  (void)options;
  int unverified = getenv("POSTERN_TEST_KEY_UNVERIFIED") != NULL;
  if ((flags & VERIFIED) && !unverified && (pin == NULL || strcmp(pin, "1234") != 0)) return PIN_REQUIRED;
  uint8_t did = flags & (PRESENT | VERIFIED);
  if (getenv("POSTERN_TEST_KEY_UNTOUCHED") != NULL) did &= ~PRESENT;
  if (unverified) did &= ~VERIFIED;

  /* Hash of the application, flags, counter, hash of the data. */
  static uint32_t counter;
  uint8_t message[32 + 1 + 4 + 32] = {0};
  counter++;
  SHA256((const unsigned char *)application, strlen(application), message);
  message[32] = did;
  for (int at = 0; at < 4; at++) message[33 + at] = counter >> (24 - 8 * at);
  SHA256(data, data_len, message + 37);

  void *key = d2i_AutoPrivateKey(NULL, &key_handle, (long)key_handle_len);
  void *context = EVP_MD_CTX_new();
  uint8_t signature[128];
  size_t length = sizeof signature;
  if (key == NULL || context == NULL) return GENERAL;
  if (EVP_DigestSignInit(context, NULL, alg == ED25519 ? NULL : EVP_sha256(), NULL, key) != 1) return GENERAL;
  if (EVP_DigestSign(context, signature, &length, message, sizeof message) != 1) return GENERAL;

  struct signed_message *made = calloc(1, sizeof *made);
  if (made == NULL) return GENERAL;
  made->flags = did;
  made->counter = counter;
  if (alg == ED25519) {
    made->sig_r = calloc(1, length);
    made->sig_r_len = length;
    memcpy(made->sig_r, signature, length);
  } else {
    const unsigned char *der = signature;
    void *pair = d2i_ECDSA_SIG(NULL, &der, (long)length);
    if (pair == NULL) return GENERAL;
    made->sig_r = calloc(1, made->sig_r_len = 32);
    made->sig_s = calloc(1, made->sig_s_len = 32);
    BN_bn2binpad(ECDSA_SIG_get0_r(pair), made->sig_r, 32);
    BN_bn2binpad(ECDSA_SIG_get0_s(pair), made->sig_s, 32);
  }
  *response = made;
  return 0;
}

int sk_load_resident_keys(const char *pin, void *options, void *keys, size_t *count) {
  (void)pin, (void)options, (void)keys;
  *count = 0;
  return UNSUPPORTED;
}

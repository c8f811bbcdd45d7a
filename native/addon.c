/* The four functions that TypeScript calls (src/ssh/algorithms/native.ts). Arguments that do not fit give FAILED, never a crash. */
#include <node_api.h>
#include <stdlib.h>

#include "packets.h"

/* Packets of one call, as in native.ts. */
#define MAX_BATCH 64u

/* As in native.ts, which does without an addon of another version. Goes up whenever a function's arguments change. */
#define VERSION 2

typedef struct {
  uint8_t *data;
  size_t length;
} span;

/* One direction, or NULL after `free`. */
typedef struct {
  postern_direction *direction;
} box;

static const napi_type_tag box_tag = {0x6f1c2b9e7a3d4455ULL, 0x9a0e44d1c3b25f78ULL};

static int bytes_of(napi_env env, napi_value value, span *out) {
  napi_typedarray_type type;
  bool is_typed_array = false;
  if (napi_is_typedarray(env, value, &is_typed_array) != napi_ok || !is_typed_array) return 0;
  if (napi_get_typedarray_info(env, value, &type, &out->length, (void **)&out->data, NULL, NULL) != napi_ok) return 0;
  if (type != napi_uint8_array) return 0;
  return out->data != NULL || out->length == 0;
}

static int table_of(napi_env env, napi_value value, uint32_t **out, size_t *length) {
  napi_typedarray_type type;
  if (napi_get_typedarray_info(env, value, &type, length, (void **)out, NULL, NULL) != napi_ok) return 0;
  return type == napi_uint32_array && *out != NULL;
}

static box *box_of(napi_env env, napi_value value) {
  bool tagged = false;
  box *found = NULL;
  napi_valuetype type;
  /* Asked of what is no object, the tag would be an exception. */
  if (napi_typeof(env, value, &type) != napi_ok || type != napi_object) return NULL;
  if (napi_check_object_type_tag(env, value, &box_tag, &tagged) != napi_ok || !tagged) return NULL;
  if (napi_unwrap(env, value, (void **)&found) != napi_ok) return NULL;
  return found;
}

static napi_value number(napi_env env, int value) {
  napi_value result;
  return napi_create_int32(env, value, &result) == napi_ok ? result : NULL;
}

static void finalize(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  box *owned = data;
  postern_direction_free(owned->direction);
  free(owned);
}

/* create(cipher, sealing, key, iv): an object, or undefined when OpenSSL cannot. */
static napi_value create(napi_env env, napi_callback_info info) {
  size_t count = 4;
  napi_value args[4];
  int32_t cipher = 0;
  bool sealing = false;
  span key = {0}, iv = {0};
  if (napi_get_cb_info(env, info, &count, args, NULL, NULL) != napi_ok || count != 4) return NULL;
  if (napi_get_value_int32(env, args[0], &cipher) != napi_ok) return NULL;
  if (napi_get_value_bool(env, args[1], &sealing) != napi_ok) return NULL;
  if (!bytes_of(env, args[2], &key) || !bytes_of(env, args[3], &iv)) return NULL;
  box *made = calloc(1, sizeof *made);
  if (made == NULL) return NULL;
  made->direction = postern_direction_new(cipher, sealing, key.data, key.length, iv.data, iv.length);
  napi_value object;
  if (made->direction == NULL || napi_create_object(env, &object) != napi_ok ||
      napi_wrap(env, object, made, finalize, NULL, NULL) != napi_ok) {
    finalize(env, made, NULL);
    return NULL;
  }
  return napi_type_tag_object(env, object, &box_tag) == napi_ok ? object : NULL;
}

/* open(direction, bytes, start, end, sequence, max, table): how many, or an error; table[0] is the next offset or the bad length. */
static napi_value open_packets(napi_env env, napi_callback_info info) {
  size_t count = 7, room = 0, next = 0;
  napi_value args[7];
  span bytes = {0};
  uint32_t start = 0, end = 0, sequence = 0, max = 0, bad = 0;
  uint32_t *table = NULL;
  if (napi_get_cb_info(env, info, &count, args, NULL, NULL) != napi_ok || count != 7) return number(env, POSTERN_FAILED);
  box *owned = box_of(env, args[0]);
  if (owned == NULL || owned->direction == NULL || !bytes_of(env, args[1], &bytes) ||
      napi_get_value_uint32(env, args[2], &start) != napi_ok || napi_get_value_uint32(env, args[3], &end) != napi_ok ||
      napi_get_value_uint32(env, args[4], &sequence) != napi_ok || napi_get_value_uint32(env, args[5], &max) != napi_ok ||
      !table_of(env, args[6], &table, &room))
    return number(env, POSTERN_FAILED);
  if (max > MAX_BATCH || room < 1 + 2 * (size_t)max || start > end || end > bytes.length)
    return number(env, POSTERN_FAILED);
  int result = postern_open(owned->direction, bytes.data, start, end, sequence, max, table + 1, &next, &bad);
  table[0] = result >= 0 ? (uint32_t)next : bad;
  return number(env, result);
}

/* seal(direction, input, bytes, table, count, sequence): 0 or an error. */
static napi_value seal_packets(napi_env env, napi_callback_info info) {
  size_t count = 6, room = 0;
  napi_value args[6];
  span input = {0}, bytes = {0};
  uint32_t packets = 0, sequence = 0;
  uint32_t *table = NULL;
  if (napi_get_cb_info(env, info, &count, args, NULL, NULL) != napi_ok || count != 6) return number(env, POSTERN_FAILED);
  box *owned = box_of(env, args[0]);
  if (owned == NULL || owned->direction == NULL || !bytes_of(env, args[1], &input) ||
      !bytes_of(env, args[2], &bytes) || !table_of(env, args[3], &table, &room) ||
      napi_get_value_uint32(env, args[4], &packets) != napi_ok ||
      napi_get_value_uint32(env, args[5], &sequence) != napi_ok)
    return number(env, POSTERN_FAILED);
  if (packets > MAX_BATCH || room < 3 * (size_t)packets) return number(env, POSTERN_FAILED);
  return number(env, postern_seal(owned->direction, input.data, input.length, bytes.data, bytes.length, table, packets,
                                  sequence));
}

/* free(direction): wipes the keys now, not when the collector comes by. */
static napi_value free_direction(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value args[1];
  if (napi_get_cb_info(env, info, &count, args, NULL, NULL) != napi_ok || count != 1) return NULL;
  box *owned = box_of(env, args[0]);
  if (owned == NULL) return NULL;
  postern_direction_free(owned->direction);
  owned->direction = NULL;
  return NULL;
}

NAPI_MODULE_INIT() {
  napi_value version = number(env, VERSION);
  napi_property_descriptor properties[] = {
      {"version", NULL, NULL, NULL, NULL, version, napi_enumerable, NULL},
      {"create", NULL, create, NULL, NULL, NULL, napi_enumerable, NULL},
      {"open", NULL, open_packets, NULL, NULL, NULL, napi_enumerable, NULL},
      {"seal", NULL, seal_packets, NULL, NULL, NULL, napi_enumerable, NULL},
      {"free", NULL, free_direction, NULL, NULL, NULL, napi_enumerable, NULL},
  };
  size_t count = sizeof properties / sizeof properties[0];
  if (version == NULL) return NULL;
  return napi_define_properties(env, exports, count, properties) == napi_ok ? exports : NULL;
}

import assert from "node:assert/strict";
import { type ErrorCode, PosternError } from "#base";

/** For assert.throws and assert.rejects: an error of a room's table, by its code. */
export function code(expected: ErrorCode): (error: unknown) => boolean {
  return (error) => {
    if (!(error instanceof PosternError)) throw error;
    assert.equal(error.code, expected, error.message);
    return true;
  };
}

/** A decoder takes the whole, and refuses every shorter beginning and one byte more, always with the same code. */
export function checkDecoder<T>(decode: (bytes: Uint8Array) => T, whole: Uint8Array, refusal: ErrorCode): T {
  for (let length = 0; length < whole.length; length++) {
    assert.throws(
      () => decode(whole.subarray(0, length)),
      code(refusal),
      `${length} of ${whole.length} bytes`,
    );
  }
  for (const byte of [0, 1, 255]) {
    assert.throws(
      () => decode(Buffer.concat([whole, Buffer.of(byte)])),
      code(refusal),
      `byte ${byte} too many`,
    );
  }
  return decode(whole);
}

import assert from "node:assert/strict";
import { createCipheriv } from "node:crypto";
import { test } from "node:test";
import { discard } from "./packet-bytes.ts";

test("the memory of a large Buffer that the cipher made is given back", () => {
  const made = createCipheriv("aes-128-ctr", Buffer.alloc(16), Buffer.alloc(16)).update(Buffer.alloc(32_768));
  discard(made);
  assert.equal(made.buffer.byteLength, 0);
});

test("memory that a Buffer shares is left alone", () => {
  const whole = new Uint8Array(65_536).fill(7);
  discard(whole.subarray(0, 32_768));
  assert.equal(whole[65_535], 7);
});

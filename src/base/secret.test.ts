import assert from "node:assert/strict";
import { test } from "node:test";
import { format, inspect } from "node:util";
import { Secret } from "./secret.ts";

test("a secret shows itself in no way of printing", () => {
  const secret = new Secret("hunter2");
  const shown = [
    String(secret),
    secret.toString(),
    JSON.stringify({ secret }),
    inspect({ deep: { secret } }, { depth: 9, showHidden: true }),
    format("%s %o %j", secret, secret, secret),
    JSON.stringify(Object.assign({}, secret)),
    Object.values(secret).join(),
  ].join("\n");
  assert.doesNotMatch(shown, /hunter2|104,\s?117|68 75 6e/);
  assert.match(shown, /\[secret\]/);
});

test("a secret gives its bytes and its text to those who ask", () => {
  const bytes = new Uint8Array([0xff, 0, 1]);
  const secret = new Secret(bytes);
  bytes.fill(7);
  assert.deepEqual([...secret.reveal()], [0xff, 0, 1]);
  assert.equal(secret.byteLength, 3);
  assert.equal(new Secret("päss").text(), "päss");
});

test("secrets compare by content", () => {
  assert.equal(new Secret("a").equals(new Secret("a")), true);
  assert.equal(new Secret("a").equals(new Secret("b")), false);
  assert.equal(new Secret("a").equals(Buffer.from("ab")), false);
  assert.equal(new Secret("").equals(new Secret("")), true);
});

test("a wiped secret is gone, and says so when used", () => {
  const secret = new Secret("hunter2");
  const view = secret.reveal();
  secret.wipe();
  secret.wipe();
  assert.deepEqual([...view], [0, 0, 0, 0, 0, 0, 0]);
  assert.throws(() => secret.reveal(), /wiped/);
  assert.throws(() => secret.equals(Buffer.alloc(7)), /wiped/);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { maxFirstBytes, spokenBy } from "./first-bytes.ts";

function spoken(text: string): string | undefined {
  return spokenBy(Buffer.from(text, "latin1"));
}

test("each protocol is known by how it begins, and not before that is certain", () => {
  assert.equal(spoken(""), undefined);
  for (const start of ["S", "SS", "SSH"]) assert.equal(spoken(start), undefined, start);
  assert.equal(spoken("SSH-"), "ssh");
  assert.equal(spoken("SSH-2.0-x"), "ssh");
  assert.equal(spoken("\u0016"), undefined);
  assert.equal(spoken("\u0016\u0003\u0001"), "tls");
  assert.equal(spoken("\u0016\u0002"), "other");
  for (const method of ["GET ", "CONNECT web1:22 HTTP/1.1", "SEARCH /", "SSH "])
    assert.equal(spoken(method), "http", method);
  for (const start of ["C", "CONNECT", "SEARCH"]) assert.equal(spoken(start), undefined, start);
  for (const other of [" GET", "get /", "\u0000", "\r\n", "SSHx", "G\u0000", "x".repeat(100)])
    assert.equal(spoken(other), "other", other);
});

test("a beginning as long as is waited for is always decided", () => {
  for (const byte of ["A", "S", "\u0016", "0"])
    assert.notEqual(spoken(byte.repeat(maxFirstBytes)), undefined);
});

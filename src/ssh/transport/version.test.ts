import assert from "node:assert/strict";
import { test } from "node:test";
import { PosternError } from "#base";
import { maxLinesBeforeVersion, maxVersionLineBytes, VersionReader } from "#ssh/transport";

const code = (expected: string) => (error: unknown) =>
  error instanceof PosternError && error.code === expected;

/** Reads whole, then byte by byte; both must give the same. */
function read(text: string, mayChat: boolean): { line?: string; left: string } {
  const bytes = Buffer.from(text, "latin1");
  const whole = new VersionReader(mayChat).read(bytes, 0, bytes.length);
  const reader = new VersionReader(mayChat);
  let line: string | undefined;
  let at = 0;
  while (line === undefined && at < bytes.length) {
    const step = reader.read(bytes, at, at + 1);
    at = step.offset;
    line = step.line;
  }
  assert.equal(line, whole.line);
  assert.equal(at, whole.offset);
  return { ...(line === undefined ? {} : { line }), left: text.slice(at) };
}

test("a version line ends at LF, with or without CR, and nothing after it is taken", () => {
  assert.deepEqual(read("SSH-2.0-x\r\nrest", false), { line: "SSH-2.0-x", left: "rest" });
  assert.deepEqual(read("SSH-2.0-x\nrest", false), { line: "SSH-2.0-x", left: "rest" });
  assert.deepEqual(read("SSH-2.0-x y z\r\n", false), { line: "SSH-2.0-x y z", left: "" });
  assert.deepEqual(read("SSH-1.99-old\n", true), { line: "SSH-1.99-old", left: "" });
  assert.deepEqual(read("SSH-2.0-unfinished", false), { left: "" });
});

test("a server may chat before its version line, a client may not", () => {
  assert.deepEqual(read("Welcome\r\nto us\r\nSSH-2.0-x\r\n", true), { line: "SSH-2.0-x", left: "" });
  assert.throws(() => read("Welcome\r\nSSH-2.0-x\r\n", false), code("PEER_NOT_SSH"));
});

test("garbage from a client is known by its first bytes", () => {
  for (const garbage of ["GET / HTTP/1.1", "\x16\x03\x01", "\0", "SSX-2.0", "\n"]) {
    assert.throws(() => read(garbage, false), code("PEER_NOT_SSH"), garbage);
  }
});

test("other versions are a mismatch", () => {
  assert.throws(() => read("SSH-1.5-old\n", true), code("MISMATCH_VERSION"));
  assert.throws(() => read("SSH-3.0-new\r\n", false), code("MISMATCH_VERSION"));
  assert.throws(() => read("SSH-2.0\r\n", false), code("PEER_NOT_SSH"));
});

test("lines and their number are bounded", () => {
  const line = `SSH-2.0-${"x".repeat(maxVersionLineBytes - 8)}`;
  assert.equal(read(`${line}\n`, false).line, line);
  assert.throws(() => read(`${line}x\n`, false), code("PEER_VERSION_LINE_TOO_LONG"));
  assert.equal(read(`${"a\n".repeat(maxLinesBeforeVersion)}SSH-2.0-x\n`, true).line, "SSH-2.0-x");
  assert.throws(
    () => read(`${"a\n".repeat(maxLinesBeforeVersion + 1)}SSH-2.0-x\n`, true),
    code("PEER_NOT_SSH"),
  );
});

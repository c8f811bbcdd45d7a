/** What a stranger sends to a port of several protocols: it is read, or a PEER_ error; never anything else, never without end. */
import { Pattern } from "#base";
import fc from "fast-check";
import assert from "node:assert/strict";
import { test } from "node:test";
import { nameInVersion } from "../../src/entry/reception/version-name.ts";
import { maxFirstBytes, spokenBy } from "../../src/entry/reception/first-bytes.ts";
import { decodeProxyHeader } from "../../src/entry/proxy-protocol/header.ts";

const runs = { numRuns: Number(process.env["FUZZ_RUNS"] ?? 3000) };
const tail = fc.uint8Array({ maxLength: 300 });

function after(...starts: readonly string[]): fc.Arbitrary<Uint8Array> {
  return fc
    .tuple(fc.constantFrom(...starts), tail)
    .map(([start, rest]) => Buffer.concat([Buffer.from(start, "latin1"), rest]));
}

function peerErrorOnly(decode: () => void): void {
  try {
    decode();
  } catch (error) {
    assert.match(String((error as { code?: unknown }).code), /^PEER_/);
  }
}

test("PROXY headers", () => {
  const signature = "\r\n\r\n\u0000\r\nQUIT\n";
  const bytes = fc.oneof(
    tail,
    after("PROXY ", "PROXY TCP4 ", "PROXY TCP6 ", "PROXY UNKNOWN", "PROXY TCP4 1.2.3.4 1.2.3.4 1 "),
    after(signature, `${signature}!`, `${signature}!\u0011\u0000\u000c`, `${signature}!!\u0000\u0024`),
  );
  fc.assert(
    fc.property(bytes, (each) => {
      peerErrorOnly(() => {
        const header = decodeProxyHeader(each);
        assert.ok(header === undefined || header.length <= each.length);
      });
    }),
    runs,
  );
});

test("first bytes and version comments", () => {
  const comment = new Pattern("(?:.* )?Host: *(?<name>[^ ]+)(?: .*)?");
  const bytes = fc.oneof(
    tail,
    after("SSH-", "SSH-2.0-x ", "SSH-2.0-x Host: ", "SSH-1.99- Host:", "CONNECT "),
  );
  fc.assert(
    fc.property(bytes, (each) => {
      const spoken = spokenBy(each);
      if (each.length >= maxFirstBytes) assert.notEqual(spoken, undefined);
      const name = nameInVersion(each, comment);
      assert.ok(name === undefined || !/[ \n]/.test(name));
    }),
    runs,
  );
});

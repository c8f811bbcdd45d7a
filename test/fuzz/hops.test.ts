/** What a proxy on the way answers: it is read, or an UPSTREAM_ error; never anything else, never without end. */
import { PosternError } from "#base";
import fc from "fast-check";
import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeConnectAnswer, maxAnswerBytes } from "../../src/dialer/http-proxy/answer.ts";
import {
  addressBytesOf,
  decodeChoice,
  decodeLoginAnswer,
  decodeReply,
} from "../../src/dialer/socks5/messages.ts";
import { maxProbeBytes, probe } from "../../src/pool/probe.ts";
import { Duplex } from "node:stream";

const runs = { numRuns: Number(process.env["FUZZ_RUNS"] ?? 3000) };
const decoders = [decodeChoice, decodeLoginAnswer, decodeReply, decodeConnectAnswer];

function starting(...starts: readonly string[]): fc.Arbitrary<Uint8Array> {
  return fc
    .tuple(fc.constantFrom(...starts), fc.uint8Array({ maxLength: 300 }))
    .map(([start, rest]) => Buffer.concat([Buffer.from(start, "latin1"), rest]));
}

const answer = starting(
  "",
  "\x05",
  "\x05\0\0\x01",
  "\x05\0\0\x03",
  "\x05\0\0\x04",
  "\x01",
  "HTTP/1.1 200",
  "HTTP/1.1 200 OK\r\n\r\n",
);

function upstreamErrorOnly<T>(decode: () => T): T | undefined {
  try {
    return decode();
  } catch (error) {
    assert.ok(error instanceof PosternError && error.blame === "UPSTREAM", String(error));
    return undefined;
  }
}

test("answers of proxies", () => {
  fc.assert(
    fc.property(answer, fc.constantFrom(...decoders), (bytes, decode) => {
      const decoded = upstreamErrorOnly(() => decode(bytes));
      if (decoded === undefined) return;
      assert.ok(decoded.length <= bytes.length);
      // What is behind it changes nothing.
      assert.deepEqual(decode(bytes.subarray(0, decoded.length)), decoded);
      assert.deepEqual(decode(Buffer.concat([bytes, Uint8Array.of(10)])), decoded);
    }),
    runs,
  );
});

test("an answer that never ends is refused", () => {
  const endless = Buffer.concat([Buffer.from("HTTP/1.1 200 OK\r\nA: "), Buffer.alloc(maxAnswerBytes, 65)]);
  assert.throws(() => decodeConnectAnswer(endless), { code: "UPSTREAM_PROXY_ANSWER" });
});

test("any text is a name or 4 or 16 bytes", () => {
  fc.assert(
    fc.property(fc.oneof(fc.ipV4(), fc.ipV6(), fc.string()), (host) => {
      const bytes = addressBytesOf(host);
      assert.ok(bytes === undefined || bytes.length === 4 || bytes.length === 16, host);
    }),
    runs,
  );
});

test("whatever a host says to a check, it ends and holds little", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(starting("", "SSH-2.0-", "x\r\n"), { maxLength: 40 }), async (chunks) => {
      const stream = new Duplex({ read: () => {}, write: (_chunk, _encoding, done) => done() });
      for (const chunk of chunks) stream.push(chunk);
      stream.push(null);
      const wrong = await probe("ssh", stream, { signal: new AbortController().signal });
      const text = Buffer.concat(chunks).toString("latin1");
      if (wrong === undefined) assert.match(text, /^SSH-(?:2\.0|1\.99)-[^\n]*\n/m);
      else assert.ok(text.length > maxProbeBytes || !/^SSH-2\.0-[^\n]*\n/m.test(text), wrong);
    }),
    { numRuns: Math.min(runs.numRuns, 300) },
  );
});

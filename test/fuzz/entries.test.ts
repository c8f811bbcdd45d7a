/** What a stranger sends to a port of several protocols: it is read, or a PEER_ error; never anything else, never without end. */
import { Pattern } from "#base";
import fc from "fast-check";
import assert from "node:assert/strict";
import { test } from "node:test";
import { nameInVersion } from "../../src/entry/reception/version-name.ts";
import { basicLogin } from "../../src/entry/reception/basic.ts";
import { alternativeNames } from "../../src/entry/reception/certificate-names.ts";
import { hostInIgnore, isHttpForm, maxIgnorePacketBytes } from "../../src/entry/reception/first-ignore.ts";
import { hostOf } from "../../src/entry/reception/http-host.ts";
import { decodeClientHello } from "../../src/entry/reception/client-hello.ts";
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

test("TLS hellos", () => {
  const record = (message: Uint8Array): Uint8Array =>
    Buffer.concat([Buffer.from([22, 3, 1, message.length >> 8, message.length & 255]), message]);
  const hello = (body: Uint8Array): Uint8Array =>
    Buffer.concat([Buffer.from([1, 0, body.length >> 8, body.length & 255]), body]);
  const extension = fc
    .tuple(fc.constantFrom(0, 16, 43), fc.uint8Array({ maxLength: 40 }))
    .map(([type, body]) => Buffer.concat([Buffer.from([0, type, 0, body.length]), body]));
  const extensions = fc.array(extension, { maxLength: 4 }).map((all) => {
    const body = Buffer.concat(all);
    return Buffer.concat([Buffer.alloc(34), Buffer.from([0, 0, 2, 19, 1, 1, 0, 0, body.length]), body]);
  });
  const bytes = fc.oneof(
    tail,
    after("\u0016\u0003\u0001", "\u0016\u0003\u0001\u0000\u0040\u0001\u0000\u0000\u003c"),
    tail.map(record),
    tail.map((each) => record(hello(each))),
    extensions.map((each) => record(hello(each))),
  );
  fc.assert(
    fc.property(bytes, (each) => {
      peerErrorOnly(() => {
        const found = decodeClientHello(each);
        assert.ok(found === undefined || Array.isArray(found.alpn));
      });
    }),
    runs,
  );
});

test("first packets with a Host, and the lines before them", () => {
  const data = fc.constantFrom("\r\nHost: web1\r\n", "\r\nHost: a\r\nHost: b\r\n", "\n", "");
  const packet = fc
    .tuple(data, fc.nat(40), fc.nat(255), fc.nat(60), tail)
    .map(([text, length, padding, size, rest]) =>
      Buffer.concat([Buffer.from([0, 0, 0, length, padding, 2, 0, 0, 0, size]), Buffer.from(text), rest]),
    );
  fc.assert(
    fc.property(fc.oneof(tail, packet), fc.string({ maxLength: 60 }), (bytes, line) => {
      const found = hostInIgnore(bytes);
      if (found === "incomplete") assert.ok(bytes.length < maxIgnorePacketBytes);
      else if (found !== undefined) assert.match(found.name, /^[^\s:]+$/);
      if (isHttpForm(line)) assert.match(line, /^SSH-.* HTTP/);
    }),
    runs,
  );
});

test("names, passwords and hosts in HTTP, and names in certificates", () => {
  const text = fc.oneof(
    fc.string({ unit: "binary", maxLength: 60 }),
    fc.string({ maxLength: 40 }).map((each) => `Basic ${Buffer.from(each).toString("base64")}`),
    fc
      .array(fc.constantFrom("DNS:a", ", ", "email:", '"', "\\", "IP Address:::1", "x"), { maxLength: 8 })
      .map((all) => all.join("")),
  );
  fc.assert(
    fc.property(text, (each) => {
      assert.ok(!(basicLogin(each)?.user.includes(":") ?? false));
      for (const name of alternativeNames(each) ?? []) assert.match(name, /^(?:DNS|email|URI|IP):/);
      const host = hostOf({ rawHeaders: ["Host", each], url: "/" });
      assert.ok(host === undefined || !/[/@\s[\]]/.test(host));
    }),
    runs,
  );
});

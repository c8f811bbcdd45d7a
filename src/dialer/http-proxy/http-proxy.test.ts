import assert from "node:assert/strict";
import { test } from "node:test";
import { Secret } from "#base";
import { hopStand, take } from "#test/support/hop-stand";
import { decodeConnectAnswer } from "./answer.ts";
import { httpProxy } from "./http-proxy.ts";

const options = { timeoutMs: 5000, signal: new AbortController().signal };
const proxy = { kind: "http", address: { host: "proxy", port: 3128 } } as const;

test("CONNECT, and what follows the answer is the upstream's", async () => {
  const stand = hopStand();
  await using dialer = await httpProxy.create(
    { ...proxy, user: "ada", password: new Secret("pw:d") },
    stand.ports,
  );
  const dialling = dialer.dial({ host: "2001:db8::1", port: 22 }, options);
  const far = await stand.far();
  const login = `Proxy-Authorization: Basic ${Buffer.from("ada:pw:d").toString("base64")}\r\n`;
  const wanted = `CONNECT [2001:db8::1]:22 HTTP/1.1\r\nHost: [2001:db8::1]:22\r\n${login}\r\n`;
  assert.equal((await take(far, wanted.length)).toString(), wanted);
  far.write("HTTP/1.1 200 OK\r\nVia: x\r\n");
  far.write("\r\nSSH-2.0-x\r\n");
  const stream = await dialling;
  assert.equal((await take(stream, 11)).toString(), "SSH-2.0-x\r\n");
});

test("refusals and nonsense", async () => {
  const cases = [
    ["HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "UPSTREAM_PROXY_REFUSED", /web:22: 407 Proxy/],
    ["HTTP/1.0 503\r\n\r\n", "UPSTREAM_PROXY_REFUSED", /503/],
    ["SSH-2.0-x\r\n", "UPSTREAM_PROXY_ANSWER", /does not speak HTTP/],
    ["HTTP/1.1 OK\r\n\r\n", "UPSTREAM_PROXY_ANSWER", /malformed/],
    [`HTTP/1.1 200 OK\r\nA: ${"a".repeat(20_000)}`, "UPSTREAM_PROXY_ANSWER", /too long/],
  ] as const;
  for (const [answer, code, message] of cases) {
    const stand = hopStand();
    await using dialer = await httpProxy.create(proxy, stand.ports);
    const dialling = dialer.dial({ host: "web", port: 22 }, options);
    (await stand.far()).write(answer);
    await assert.rejects(dialling, { code, message });
  }
});

test("an answer is read whole, byte by byte, and with a byte over", () => {
  for (const text of ["HTTP/1.1 200 OK\r\nA: b\r\n\r\n", "HTTP/1.0 200\n\n"]) {
    const bytes = Buffer.from(text);
    for (let length = 0; length < bytes.length; length++)
      assert.equal(decodeConnectAnswer(bytes.subarray(0, length)), undefined, `${length} bytes`);
    assert.deepEqual(decodeConnectAnswer(bytes)?.length, bytes.length);
    assert.deepEqual(decodeConnectAnswer(Buffer.from(`${text}S`))?.length, bytes.length);
  }
});

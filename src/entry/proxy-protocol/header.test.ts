import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeProxyHeader, maxProxyHeaderBytes, type ProxyHeader, readProxyHeader } from "./header.ts";

const code = { code: "PEER_PROXY_HEADER" };
const signature = "0d0a0d0a000d0a515549540a";

/** Whole, cut off at every byte, and with bytes behind it. */
function decode(bytes: Buffer): ProxyHeader {
  const header = readProxyHeader(bytes);
  assert.equal(header.length, bytes.length);
  for (let length = 0; length < bytes.length; length++) {
    assert.equal(decodeProxyHeader(bytes.subarray(0, length)), undefined, `${length} bytes`);
    assert.throws(() => readProxyHeader(bytes.subarray(0, length)), code);
  }
  assert.deepEqual(decodeProxyHeader(Buffer.concat([bytes, Buffer.from("SSH-2.0-x\r\n")])), header);
  return header;
}

function version2(command: string, family: string, body: string, length: number = body.length / 2): Buffer {
  return Buffer.from(`${signature}${command}${family}${length.toString(16).padStart(4, "0")}${body}`, "hex");
}

test("version 1", () => {
  assert.deepEqual(decode(Buffer.from("PROXY TCP4 192.0.2.1 192.0.2.2 50022 22\r\n")), {
    length: 41,
    source: { ip: "192.0.2.1", port: 50022 },
    destination: { ip: "192.0.2.2", port: 22 },
  });
  const { source } = decode(Buffer.from("PROXY TCP6 2001:DB8:0::1 ::1 1 2\r\n"));
  assert.deepEqual(source, { ip: "2001:db8::1", port: 1 });
  assert.equal(decode(Buffer.from("PROXY UNKNOWN\r\n")).source, undefined);
  assert.equal(decode(Buffer.from("PROXY UNKNOWN ff ff 1 2\r\n")).source, undefined);
});

test("version 1, malformed", () => {
  for (const line of [
    "PROXY TCP4 192.0.2.1 192.0.2.2 50022 22\n",
    "PROXY TCP4 192.0.2.1 192.0.2.2 50022\r\n",
    "PROXY TCP4 192.0.2.1 192.0.2.2 70000 22\r\n",
    "PROXY TCP4 2001:db8::1 ::1 1 2\r\n",
    "PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
    "PROXY TCP5 192.0.2.1 192.0.2.2 1 2\r\n",
    "PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n",
    `PROXY UNKNOWN ${"x".repeat(107)}\r\n`,
    `PROXY ${"x".repeat(200)}`,
    "SSH-2.0-x\r\n",
    "PROXX",
  ])
    assert.throws(() => readProxyHeader(Buffer.from(line)), code, line);
});

test("version 2", () => {
  const ipv4 = "c0000201c0000202c3660016";
  assert.deepEqual(decode(version2("21", "11", ipv4)), {
    length: 28,
    source: { ip: "192.0.2.1", port: 0xc366 },
    destination: { ip: "192.0.2.2", port: 22 },
  });
  // With an extension behind the addresses.
  assert.equal(decode(version2("21", "11", `${ipv4}0300040a0b0c0d`)).source?.ip, "192.0.2.1");
  const ipv6 = `20010db8${"00".repeat(11)}01${"00".repeat(15)}0100010002`;
  assert.deepEqual(decode(version2("21", "21", ipv6)).source, { ip: "2001:db8::1", port: 1 });
  const mapped = `${"00".repeat(10)}ffffc0000201${"00".repeat(15)}0100010002`;
  assert.equal(decode(version2("21", "21", mapped)).source?.ip, "192.0.2.1");
  for (const [command, family] of [
    ["20", "00"],
    ["20", "11"],
    ["21", "00"],
    ["21", "31"],
  ] as const)
    assert.equal(decode(version2(command, family, ipv4)).source, undefined);
});

test("version 2, malformed", () => {
  for (const bytes of [
    version2("11", "11", "c0000201c0000202c3660016"),
    version2("22", "11", "c0000201c0000202c3660016"),
    version2("21", "11", "c0000201c0000202c366"),
    version2("21", "21", "c0000201c0000202c3660016"),
    version2("21", "11", "", maxProxyHeaderBytes),
  ])
    assert.throws(() => readProxyHeader(bytes), code);
});

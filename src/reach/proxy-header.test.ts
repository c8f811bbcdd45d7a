import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeProxyHeader } from "./proxy-header.ts";

const v4 = { from: { ip: "192.0.2.1", port: 50_022, text: "" }, to: { ip: "198.51.100.7", port: 22 } };
const v6 = { from: { ip: "2001:db8::1", port: 1, text: "" }, to: { ip: "fe80::2%eth0", port: 65_535 } };

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

test("version 1", () => {
  const line = (asker: Parameters<typeof encodeProxyHeader>[1]): string =>
    Buffer.from(encodeProxyHeader(1, asker)).toString("latin1");
  assert.equal(line(v4), "PROXY TCP4 192.0.2.1 198.51.100.7 50022 22\r\n");
  assert.equal(line(v6), "PROXY TCP6 2001:db8::1 fe80::2 1 65535\r\n");
  assert.equal(line(undefined), "PROXY UNKNOWN\r\n");
  assert.equal(line({ from: { text: "unix" } }), "PROXY UNKNOWN\r\n");
  assert.equal(line({ from: v4.from }), "PROXY UNKNOWN\r\n");
});

test("version 2", () => {
  const signature = "0d0a0d0a000d0a515549540a";
  assert.equal(hex(encodeProxyHeader(2, v4)), `${signature}2111000cc0000201c6336407c3660016`);
  const addresses = `20010db8${"00".repeat(11)}01fe80${"00".repeat(13)}02`;
  assert.equal(hex(encodeProxyHeader(2, v6)), `${signature}21210024${addresses}0001ffff`);
  assert.equal(hex(encodeProxyHeader(2, undefined)), `${signature}20000000`);
  assert.equal(hex(encodeProxyHeader(2, { from: { text: "unix" } })), `${signature}20000000`);
});

test("a client of one family at an address of the other is told as IPv6", () => {
  const mixed = { from: v4.from, to: { ip: "2001:db8::2", port: 22 } };
  const text = Buffer.from(encodeProxyHeader(1, mixed)).toString("latin1");
  assert.equal(text, "PROXY TCP6 ::ffff:192.0.2.1 2001:db8::2 50022 22\r\n");
  const bytes = hex(encodeProxyHeader(2, mixed));
  assert.equal(bytes.slice(32, 64), `${"00".repeat(10)}ffffc0000201`);
});

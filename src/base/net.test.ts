import assert from "node:assert/strict";
import { test } from "node:test";
import {
  Cidr,
  formatEndpoint,
  isHost,
  networkOf,
  normalAddress,
  parseEndpoint,
  parseHostPort,
  parsePort,
} from "./net.ts";

test("endpoints are read and written", () => {
  const cases: [string, object, string?][] = [
    ["127.0.0.1:2222", { kind: "tcp", host: "127.0.0.1", port: 2222 }],
    ["[::1]:22", { kind: "tcp", host: "::1", port: 22 }],
    ["[fe80::1%eth0]:22", { kind: "tcp", host: "fe80::1%eth0", port: 22 }],
    ["gate.example.com:0", { kind: "tcp", host: "gate.example.com", port: 0 }],
    [":22", { kind: "tcp", host: "::", port: 22 }, "[::]:22"],
    ["unix:/run/ssh.sock", { kind: "unix", path: "/run/ssh.sock" }],
    ["systemd", { kind: "systemd" }],
    ["systemd:ssh", { kind: "systemd", name: "ssh" }],
  ];
  for (const [text, endpoint, written = text] of cases) {
    const found = parseEndpoint(text);
    assert.deepEqual(found, endpoint, text);
    assert.equal(formatEndpoint(found), written);
  }
  assert.deepEqual(parseHostPort("gate", 22), { host: "gate", port: 22 });
  assert.deepEqual(parseHostPort("[::1]", 22), { host: "::1", port: 22 });
});

test("an address that is not understood is the operator's error, with what would be right", () => {
  const cases: [string, RegExp][] = [
    ["gate", /the port is missing/],
    ["gate:", /a port is 0 to 65535/],
    ["gate:65536", /a port is 0 to 65535/],
    ["gate:ssh", /write host:port/],
    ["::1", /stands in brackets/],
    ["::1:22", /stands in brackets/],
    ["2222", /write ":2222"/],
    ["[127.0.0.1]:22", /only an IPv6 address/],
    ["[gate]:22", /only an IPv6 address/],
    ["a b:22", /neither a name nor an address/],
    ["unix:", /path after unix: is missing/],
    [`unix:/${"x".repeat(107)}`, /107 bytes/],
    ["", /the port is missing/],
  ];
  for (const [text, message] of cases) {
    assert.throws(() => parseEndpoint(text), { code: "OPERATOR_ADDRESS_INVALID", message }, text);
  }
});

test("ports are 0 to 65535", () => {
  assert.deepEqual(["0", "22", "65535", "65536", "-1", "", "22x", "000022"].map(parsePort), [
    0,
    22,
    65535,
    ...Array(5).fill(undefined),
  ]);
});

test("hosts are names or addresses", () => {
  for (const text of ["a", "web-1.example.lan", "_srv.x", "a.", "10.0.0.1", "::1", "xn--bcher-kva.example"]) {
    assert.equal(isHost(text), true, text);
  }
  for (const text of [
    "",
    "-a",
    "a-",
    "a..b",
    "a b",
    "a/b",
    "1.2.3",
    "1234",
    "a\n",
    "ä",
    "\u212adc",
    "\u017fecret",
    "a".repeat(64),
    "a.".repeat(127),
  ]) {
    assert.equal(isHost(text), false, text);
  }
});

test("networks contain what they should, mapped IPv4 too", () => {
  const cases: [string, string, boolean][] = [
    ["10.0.0.0/8", "10.255.255.255", true],
    ["10.0.0.0/8", "11.0.0.0", false],
    ["10.0.0.0/8", "::ffff:10.1.2.3", true],
    ["10.0.0.0/8", "::ffff:a01:203", true],
    ["::ffff:10.0.0.0/104", "10.1.2.3", false],
    ["10.1.2.3", "10.1.2.3", true],
    ["10.1.2.3", "10.1.2.4", false],
    ["10.1.2.2/31", "10.1.2.3", true],
    ["0.0.0.0/0", "203.0.113.9", true],
    ["0.0.0.0/0", "::1", false],
    ["::/0", "2001:db8::1", true],
    ["::/0", "10.0.0.1", false],
    ["2001:db8::/33", "2001:db8:7fff::1", true],
    ["2001:db8::/33", "2001:db8:8000::1", false],
    ["fe80::/10", "fe80::1%eth0", true],
    ["10.0.0.0/8", "unix", false],
    ["10.0.0.0/8", "10.0.0", false],
  ];
  for (const [range, address, inside] of cases) {
    if (range.startsWith("::ffff")) assert.throws(() => new Cidr(range), /at most 32 bits/);
    else assert.equal(new Cidr(range).contains(address), inside, `${range} ${address}`);
  }
});

test("a network with bits after its prefix is refused with the right one", () => {
  assert.throws(() => new Cidr("10.1.2.3/8"), {
    code: "OPERATOR_ADDRESS_INVALID",
    message: /write 10\.0\.0\.0\/8/,
  });
  assert.throws(() => new Cidr("2001:db8::1/32"), /write 2001:db8::\/32/);
  for (const text of [
    "",
    "10.0.0.0/33",
    "::/129",
    "10.0.0/8",
    "10.0.0.0/",
    "10.0.0.0/x",
    "10.0.0.0/8/8",
    "host",
  ]) {
    assert.throws(() => new Cidr(text), { code: "OPERATOR_ADDRESS_INVALID" }, text);
  }
});

test("addresses have one form", () => {
  const cases: [string, string][] = [
    ["::ffff:192.0.2.1", "192.0.2.1"],
    ["2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
    ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
    ["0:0:0:0:0:0:0:0", "::"],
    ["1::", "1::"],
    ["::1.2.3.4", "::102:304"],
    ["fe80::1%eth0", "fe80::1"],
    ["/run/x", "/run/x"],
  ];
  for (const [text, normal] of cases) assert.equal(normalAddress(text), normal, text);
});

test("one source is one network", () => {
  assert.equal(networkOf("192.0.2.77", 24, 64), "192.0.2.0/24");
  assert.equal(networkOf("::ffff:192.0.2.77", 32, 64), "192.0.2.77/32");
  assert.equal(networkOf("2001:db8:1:2:3::9", 32, 64), "2001:db8:1:2::/64");
  assert.equal(networkOf("2001:db8:1:2:3::9", 32, 0), "::/0");
  assert.equal(networkOf("unix", 32, 64), "unix");
});

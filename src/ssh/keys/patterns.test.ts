import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import {
  cidrContains,
  isSourceList,
  matchCidrList,
  matchHostName,
  matchPattern,
  matchPatternList,
  parseAddress,
  parseCidr,
  sourceAllowed,
} from "#ssh/keys";

test("patterns of ssh_config(5)", () => {
  const cases: readonly (readonly [string, string, boolean])[] = [
    ["", "", true],
    ["a", "", false],
    ["", "*", true],
    ["", "?", false],
    ["a", "?", true],
    ["ab", "?", false],
    ["host.example.org", "*.example.org", true],
    ["example.org", "*.example.org", false],
    ["192.168.0.7", "192.168.0.?", true],
    ["192.168.0.77", "192.168.0.?", false],
    ["abcabc", "*abc", true],
    ["aab", "*ab", true],
    ["abab", "a*b*", true],
    ["abc", "a**c", true],
    ["abc", "a*d", false],
    ["a.c", "a.c", true],
    ["abc", "a.c", false],
    ["[h]:2222", "[*]:2222", true],
    ["Host", "host", false],
  ];
  for (const [text, pattern, expected] of cases) {
    assert.equal(matchPattern(text, pattern), expected, `${text} against ${pattern}`);
  }
});

test("a pattern matches what the same regular expression matches", () => {
  const letters = fc.constantFrom("a", "b");
  fc.assert(
    fc.property(
      fc.array(letters, { maxLength: 10 }),
      fc.array(fc.constantFrom("a", "b", "*", "?"), { maxLength: 8 }),
      (text, pattern) => {
        const source = pattern.map((part) => (part === "*" ? ".*" : part === "?" ? "." : part)).join("");
        const expected = new RegExp(`^${source}$`).test(text.join(""));
        assert.equal(matchPattern(text.join(""), pattern.join("")), expected);
      },
    ),
    { numRuns: 500 },
  );
});

test("a pattern of a thousand stars ends", () => {
  assert.equal(matchPattern("a".repeat(2000), `${"*a".repeat(1000)}b`), false);
});

test("in a list, a negated entry outweighs all others", () => {
  assert.equal(matchPatternList("a.x", "*.x,!b.x"), "match");
  assert.equal(matchPatternList("b.x", "*.x,!b.x"), "negated");
  assert.equal(matchPatternList("b.x", "!b.x,*.x"), "negated");
  assert.equal(matchPatternList("c.y", "*.x,!b.x"), "no-match");
  assert.equal(matchPatternList("c.y", "!b.x"), "no-match");
  assert.equal(matchHostName("WEB.Example.org", "web.EXAMPLE.*"), "match");
});

function hex(text: string): string | undefined {
  const bytes = parseAddress(text);
  return bytes && Buffer.from(bytes).toString("hex");
}

test("addresses, with their zones and mappings", () => {
  assert.equal(hex("10.1.2.255"), "0a0102ff");
  assert.equal(hex("::"), "00".repeat(16));
  assert.equal(hex("::1"), `${"00".repeat(15)}01`);
  assert.equal(hex("1::"), `0001${"00".repeat(14)}`);
  assert.equal(hex("2001:db8::a:0:b"), "20010db8000000000000000a0000000b");
  assert.equal(hex("1:2:3:4:5:6:7:8"), "00010002000300040005000600070008");
  assert.equal(hex("::ffff:10.0.0.1"), "0a000001");
  assert.equal(hex("::10.0.0.1"), `${"00".repeat(12)}0a000001`);
  assert.equal(hex("fe80::1%eth0"), hex("fe80::1"));
  for (const bad of [
    "",
    "10.1",
    "10.1.2.3.4",
    "256.0.0.1",
    "010.0.0.1",
    "host",
    "::1::",
    "1:2",
    "/run/sock",
    "%eth0",
  ]) {
    assert.equal(parseAddress(bad), undefined, bad);
  }
});

function contains(cidr: string, address: string): boolean {
  const parsed = parseCidr(cidr);
  const bytes = parseAddress(address);
  assert.ok(parsed !== undefined && parsed !== "inconsistent" && bytes !== undefined, cidr);
  return cidrContains(parsed, bytes);
}

test("networks", () => {
  assert.ok(contains("10.0.0.0/8", "10.255.255.255"));
  assert.ok(!contains("10.0.0.0/8", "11.0.0.0"));
  assert.ok(contains("0.0.0.0/0", "1.2.3.4"));
  assert.ok(!contains("0.0.0.0/0", "2001:db8::1"));
  assert.ok(!contains("::/0", "1.2.3.4"));
  assert.ok(contains("192.0.2.128/25", "192.0.2.129"));
  assert.ok(!contains("192.0.2.128/25", "192.0.2.127"));
  assert.ok(contains("192.0.2.1", "192.0.2.1"));
  assert.ok(contains("2001:db8::/33", "2001:db8:7fff::1"));
  assert.ok(!contains("2001:db8::/33", "2001:db8:8000::1"));
  assert.ok(contains("::ffff:10.0.0.0/104", "10.9.9.9"));
  for (const bad of ["10.0.0.1/8", "10.0.0.0/33", "2001:db8::1/32", "::/129"]) {
    assert.equal(parseCidr(bad), "inconsistent", bad);
  }
  for (const bad of [
    "",
    "10.0.0.0/",
    "10.0.0.0/-1",
    "10.0.0.0/8/8",
    "10.0.0.0/ 8",
    "x/8",
    "10.*",
    "fe80::1%eth0",
  ]) {
    assert.equal(parseCidr(bad), undefined, bad);
  }
});

test("lists of networks take nothing else", () => {
  assert.equal(matchCidrList("10.0.0.0/8,::1", "10.0.0.1"), "match");
  assert.equal(matchCidrList("10.0.0.0/8,::1", "::1"), "match");
  assert.equal(matchCidrList("10.0.0.0/8,::1", "::2"), "no-match");
  assert.equal(matchCidrList("10.0.0.0/8", "not an address"), "no-match");
  for (const bad of ["", "10.0.0.0/8,", "10.0.0.0/8,host", "10.0.0.0/8,10.0.0.1/8", "!10.0.0.0/8"]) {
    assert.equal(matchCidrList(bad, "10.0.0.1"), "invalid", bad);
  }
});

test("a from list: networks, patterns, names, negation", () => {
  assert.ok(sourceAllowed("10.0.0.0/8", "10.1.1.1"));
  assert.ok(sourceAllowed("10.0.0.0/8", "::ffff:10.1.1.1"));
  assert.ok(!sourceAllowed("10.0.0.0/8,!10.1.0.0/16", "10.1.1.1"));
  assert.ok(!sourceAllowed("!10.1.0.0/16,10.0.0.0/8", "10.1.1.1"));
  assert.ok(sourceAllowed("10.0.0.0/8,!10.1.0.0/16", "10.2.1.1"));
  assert.ok(!sourceAllowed("!10.1.0.0/16", "10.2.1.1"), "negation alone allows nobody");
  assert.ok(sourceAllowed("10.*.1.?", "10.77.1.9"));
  assert.ok(sourceAllowed("10.*.1.?", "::ffff:10.77.1.9"));
  assert.ok(sourceAllowed("*.example.org", "192.0.2.1", "Web.Example.org"));
  assert.ok(!sourceAllowed("*.example.org", "192.0.2.1"));
  assert.ok(!sourceAllowed("*,!*.example.org", "192.0.2.1", "web.example.org"));
  assert.ok(sourceAllowed("*", "/run/socket"));
  assert.ok(sourceAllowed("2001:DB8::/32", "2001:db8::1"));
  for (const bad of ["", "10.0.0.0/8,", "10.0.0.0/8,!", "10.0.0.1/8,*"]) {
    assert.ok(!isSourceList(bad), bad);
    assert.ok(!sourceAllowed(bad, "10.0.0.1"), bad);
  }
});

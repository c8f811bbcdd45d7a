import assert from "node:assert/strict";
import { test } from "node:test";
import { HostPatterns, NamePatterns } from "./host-pattern.ts";

test("a tag lets a device in, and a refused tag or name keeps it out", () => {
  const patterns = new HostPatterns(["tag:hall1", "kiosk9", "!tag:broken", "!kiosk3"]);
  assert.equal(patterns.allow("kiosk1", ["hall1"]), true);
  assert.equal(patterns.allow("kiosk9"), true);
  assert.equal(patterns.allow("kiosk1"), false);
  assert.equal(patterns.allow("kiosk1", ["hall2"]), false);
  assert.equal(patterns.allow("kiosk3", ["hall1"]), false);
  assert.equal(patterns.allow("kiosk9", ["broken"]), false);
});

test("a name is never taken for a tag, nor a tag for a name", () => {
  assert.equal(new HostPatterns(["t*"]).allow("kiosk1", ["hall1"]), false);
  assert.equal(new HostPatterns(["tag:*"]).allow("tag:hall1"), false);
  assert.equal(new HostPatterns(["tag:h*"]).allow("kiosk1", ["hall1"]), true);
  assert.equal(new HostPatterns(["*"]).allow("kiosk1", ["hall1"]), true);
});

test("an address is one address, however it is spelt", () => {
  const patterns = new HostPatterns(["*", "!127.0.0.1", "!::1", "!2001:DB8:0::7"]);
  for (const host of [
    "127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:7f00:1",
    "0:0:0:0:0:ffff:127.0.0.1",
    "0:0:0:0:0:0:0:1",
    "::0001",
    "2001:db8::7",
    "2001:0db8:0000::0007",
  ])
    assert.equal(patterns.allow(host), false, host);
  assert.equal(patterns.allow("127.0.0.2"), true);
  assert.equal(new HostPatterns(["10.0.0.*"]).allow("::ffff:10.0.0.7"), true);
  assert.equal(new HostPatterns(["*.lan"]).allow("::1%x.lan"), false);
});

test("upper and lower case of ASCII are one for hosts, and two for other names; no other letter stands for one of those", () => {
  assert.equal(new HostPatterns(["*.LAN", "!SECRET.lan"]).allow("Web.lan"), true);
  assert.equal(new HostPatterns(["*.LAN", "!SECRET.lan"]).allow("Secret.Lan"), false);
  // The Kelvin sign, the long s, the dotless i: each becomes a letter of ASCII in some table.
  for (const pattern of ["\u212a", "\u017f", "\u0131", "\u0130"])
    for (const name of ["k", "s", "i", "K", "S", "I"])
      assert.equal(new HostPatterns([pattern]).allow(name), false, `${pattern} for ${name}`);
  assert.equal(new NamePatterns(["CN=Ada*"]).allowAny(["x", "CN=Ada Lovelace"]), true);
  assert.equal(new NamePatterns(["CN=Ada*"]).allowAny(["CN=ada"]), false);
});

test("a pattern is a whole name: its signs are its own, stars and marks apart", () => {
  const cases: readonly (readonly [pattern: string, name: string, fits: boolean])[] = [
    ["a.b", "axb", false],
    ["a?b", "a.b", true],
    ["a?b", "ab", false],
    ["a*", "a\nb", true],
    ["**a**", "a", true],
    ["[ab]+(c|d)$^\\", "[ab]+(c|d)$^\\", true],
    ["[ab]", "a", false],
    ["a|b", "a", false],
    ["", "", true],
    ["", "a", false],
  ];
  for (const [pattern, name, fits] of cases)
    assert.equal(new NamePatterns([pattern]).allowAny([name]), fits, JSON.stringify([pattern, name]));
});

test("many stars take no time", () => {
  // An engine that backtracks would take some 10 ** 30 steps: ending at all is the proof.
  const stars = "*a".repeat(60);
  assert.equal(new HostPatterns([`${stars}b`]).allow("a".repeat(250)), false);
  assert.equal(new NamePatterns([`${stars}b`]).allowAny(["a".repeat(4000)]), false);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { HostPatterns } from "./host-pattern.ts";

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

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

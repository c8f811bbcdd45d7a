import assert from "node:assert/strict";
import { test } from "node:test";
import { isHost } from "#base";
import { deviceName, isDeviceName } from "./name.ts";

test("names are those that files, domains and rules can have", () => {
  for (const name of ["a", "kiosk7", "kiosk-7", "kiosk_7", "7up", "a.b", "hall1.kiosk7", "x".repeat(63)]) {
    assert.ok(isDeviceName(name), name);
    assert.ok(isHost(name), name);
  }
});

test("nothing else is a name: no path, no address, no option, no pattern", () => {
  for (const name of [
    "",
    ".",
    "..",
    "-a",
    "a-",
    "_a",
    "a/b",
    "../a",
    "a..b",
    "a-.b",
    ".a",
    "a.",
    "a b",
    "a\0",
    "a\n",
    "*",
    "a*",
    "é",
    "localhost",
    "certificate",
    "renewal",
    "127.0.0.1",
    "::1",
    "1.2",
    "a.7",
    "0x7f.1",
    "A",
    "x".repeat(64),
    "\u212aiosk",
  ])
    assert.equal(isDeviceName(name), false, JSON.stringify(name));
});

test("case is no difference", () => {
  assert.equal(deviceName("Kiosk7"), "kiosk7");
  // The Kelvin sign is no k.
  assert.equal(deviceName("\u212aiosk7"), undefined);
});

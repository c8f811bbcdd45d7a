import assert from "node:assert/strict";
import { test } from "node:test";
import { ReceiveWindow, SendWindow } from "./window.ts";

test("a receive window admits its size and not a byte more", () => {
  const window = new ReceiveWindow(10);
  window.take(10);
  assert.throws(() => window.take(1), { code: "PEER_WINDOW_EXCEEDED" });
});

test("credit is given from a sixteenth of the window on, and then for all that was consumed", () => {
  const window = new ReceiveWindow(160);
  window.take(160);
  assert.equal(window.consume(9), 0);
  assert.equal(window.leftBytes, 0);
  assert.equal(window.consume(3), 12);
  assert.equal(window.leftBytes, 12);
  assert.equal(window.consume(9), 0);
});

test("a send window takes adjustments up to 2³²-1", () => {
  const window = new SendWindow(1);
  window.adjust(0xffff_fffe);
  assert.equal(window.leftBytes, 0xffff_ffff);
  assert.throws(() => window.adjust(1), { code: "PEER_WINDOW_OVERFLOW" });
  window.take(0xffff_ffff);
  window.adjust(1);
  assert.equal(window.leftBytes, 1);
});

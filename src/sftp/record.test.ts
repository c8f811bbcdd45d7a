import assert from "node:assert/strict";
import { test } from "node:test";
import { FX } from "#ssh/sftp";
import { FakeClock } from "#test/support/fake-clock";
import { Recorder, tellMs } from "./record.ts";

function stand() {
  const clock = new FakeClock(1_000);
  const told: (readonly [string, number | undefined])[] = [];
  const recorder = new Recorder({
    audit: (event, atMs) => void told.push(["path" in event ? event.path : event.event, atMs]),
    channel: 0,
    record: true,
    clock,
  });
  return { clock, told, recorder };
}

test("what happens within a moment is told in one go, in order, each with its own time", () => {
  const { clock, told, recorder } = stand();
  recorder.opened({ path: "/a" }, 0);
  clock.advance(tellMs - 1);
  recorder.changed("rename", { path: "/b" }, FX.OK);
  assert.deepEqual(told, []);
  clock.advance(1);
  assert.deepEqual(told, [
    ["/a", 1_000],
    ["/b", 1_000 + tellMs - 1],
  ]);
  recorder.refused("write", "/c", "no");
  clock.advance(tellMs);
  assert.deepEqual(told.at(-1), ["/c", 1_000 + tellMs]);
  assert.equal(clock.pending, 0);
});

test("what waits is bounded, and told at once where the channel ends", () => {
  const { clock, told, recorder } = stand();
  for (let n = 0; n < 64; n++) recorder.opened({ path: `/${n}` }, 0);
  assert.equal(told.length, 64);
  recorder.opened({ path: "/last" }, 0);
  recorder.tell();
  assert.equal(told.length, 65);
  assert.equal(clock.pending, 0);
});

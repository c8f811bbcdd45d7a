import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { fakeClock } from "#test/support/fake-clock";
import { tempDir } from "#test/support/temp-dir";
import { until } from "#test/support/waiting";
import { LogSink } from "./log-sink.ts";

test("a line that comes alone is written at once, those that follow it wait for each other", async () => {
  await using folder = await tempDir();
  const file = folder.at("lines");
  const clock = fakeClock();
  const sink = new LogSink(file, clock);
  const read = (): Promise<string> => readFile(file, "utf8");
  sink.write("1\n");
  await until("the first line", async () => (await read()) === "1\n");
  // The write is over for the file before it is for us: then whatever comes goes with the timer.
  await until("its end", () => {
    sink.write("x\n");
    return clock.pending === 1;
  });
  sink.write("2\n");
  assert.equal(await read(), "1\n");
  clock.advance(10);
  await until("the rest", async () => /^1\n(x\n)+2\n$/.test(await read()));
  assert.equal(clock.pending, 0);
  clock.advance(1000);
  sink.write("3\n");
  await until("a line long after", async () => (await read()).endsWith("2\n3\n"));
  await sink.close();
  assert.equal(sink.linesLost, 0);
});

test("at the end nothing waits, and a full batch does not either", async () => {
  await using folder = await tempDir();
  const file = folder.at("lines");
  const clock = fakeClock();
  const sink = new LogSink(file, clock);
  const line = `${"x".repeat(999)}\n`;
  for (let at = 0; at < 200; at++) sink.write(line);
  await until("as much as fills batches", async () => (await readFile(file)).length >= 128 * 1024);
  sink.write("last\n");
  await sink.close();
  const text = await readFile(file, "utf8");
  assert.ok(text.endsWith("last\n"));
  assert.equal(text.length, 200_005);
});

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  writeSync,
} from "node:fs";
import { test } from "node:test";
import { fakeClock } from "#test/support/fake-clock";
import { tempDir } from "#test/support/temp-dir";
import { until } from "#test/support/waiting";
import { PosternError } from "./errors.ts";
import { openLog } from "./log.ts";
import { Secret } from "./secret.ts";

const row = { user: "u", operator: "something went wrong" };

function linesOf(file: string): Record<string, unknown>[] {
  return readFileSync(file, "utf8")
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

test("one line of JSON for each event, with level, time and fields", async () => {
  await using folder = await tempDir();
  const file = folder.at("log");
  const log = await openLog({ level: "info", format: "auto", file, clock: fakeClock(0) });
  const session = log.child({ session: "abc" });
  log.debug("unseen");
  session.info("session-opened", { user: "ada\n", password: new Secret("hunter2") });
  session.child({ leg: "upstream" }).warn("slow");
  await log.close();
  assert.deepEqual(linesOf(file), [
    {
      level: "info",
      time: "1970-01-01T00:00:00.000Z",
      session: "abc",
      user: "ada\n",
      password: "[secret]",
      event: "session-opened",
    },
    { level: "warn", time: "1970-01-01T00:00:00.000Z", session: "abc", leg: "upstream", event: "slow" },
  ]);
});

test("the level changes for all children at once", async () => {
  await using folder = await tempDir();
  const file = folder.at("log");
  const log = await openLog({ level: "info", format: "json", file });
  const child = log.child({ part: "a" });
  child.debug("one");
  log.level = "debug";
  assert.equal(child.enabled("debug"), true);
  child.debug("two");
  log.level = "error";
  assert.equal(child.enabled("warn"), false);
  child.warn("three");
  assert.equal(log.level, "error");
  await log.close();
  assert.deepEqual(
    linesOf(file).map(({ event }) => event),
    ["two"],
  );
});

test("an error shows its code, its causes, and a stack only where our code is to blame", async () => {
  await using folder = await tempDir();
  const file = folder.at("log");
  const log = await openLog({ level: "info", format: "json", file });
  const cause = new Error("socket gone", { cause: "cable" });
  log.info("ended", { error: new PosternError("PEER_LOG_TEST", row, "packet 7", { cause }) });
  log.error("bug", { error: new PosternError("BUG_LOG_TEST", row) });
  log.error("thrown", { error: "a string" });
  const loop = new Error("loop");
  loop.cause = loop;
  log.error("loop", { error: loop });
  await log.close();
  const [peer, bug, thrown, round] = linesOf(file).map(({ error }) => error as Record<string, unknown>);
  assert.deepEqual(peer, {
    code: "PEER_LOG_TEST",
    blame: "PEER",
    message: "something went wrong (packet 7)",
    causes: ["socket gone", "cable"],
  });
  assert.match(String(bug?.["stack"]), /log\.test\.ts/);
  assert.equal(thrown, "a string");
  assert.equal(round?.["message"], "loop");
});

test("a pretty line is readable and obeys no control character of a peer", async () => {
  await using folder = await tempDir();
  const file = folder.at("log");
  const log = await openLog({ level: "info", format: "pretty", file });
  log.info("refused", { user: "evil\u001b]0;x\u0007\u009b2J\nnext" });
  await log.close();
  const text = readFileSync(file, "utf8");
  assert.match(text, /INFO: refused .*evil/);
  assert.equal(text.split("\n").length, 2);
  // oxlint-disable-next-line no-control-regex
  assert.doesNotMatch(text, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
});

test("for the journal each line begins with its priority and has no time", async () => {
  await using folder = await tempDir();
  const file = folder.at("journal");
  const descriptor = openSync(file, "a");
  const { dev, ino } = fstatSync(descriptor, { bigint: true });
  const log = await openLog({
    level: "debug",
    format: "auto",
    descriptor,
    environment: { JOURNAL_STREAM: `${dev}:${ino}` },
  });
  log.error("broken");
  log.debug("detail");
  await log.close();
  const other = await openLog({
    level: "info",
    format: "auto",
    descriptor,
    environment: { JOURNAL_STREAM: "1:2" },
  });
  other.info("elsewhere");
  await other.close();
  closeSync(descriptor);
  const lines = readFileSync(file, "utf8").split("\n");
  assert.deepEqual(lines.slice(0, 2), [
    '<3>{"level":"error","event":"broken"}',
    '<7>{"level":"debug","event":"detail"}',
  ]);
  assert.match(lines[2] ?? "", /^\{"level":"info","time":/);
});

test("reopen goes to the new file once the old one was moved away", async () => {
  await using folder = await tempDir();
  const file = folder.at("log");
  const log = await openLog({ level: "info", format: "json", file });
  log.info("before");
  renameSync(file, folder.at("log.1"));
  log.reopen();
  for (let n = 0; n < 100; n++) log.info("after", { n });
  await log.close();
  const all = [...linesOf(folder.at("log.1")), ...linesOf(file)];
  assert.deepEqual(
    all.map(({ n }) => n),
    [undefined, ...Array(100).keys()],
  );
  assert.equal(linesOf(file).at(-1)?.["n"], 99);
});

test("a reopen that fails keeps the old file", async () => {
  await using folder = await tempDir();
  const file = folder.at("log");
  const log = await openLog({ level: "info", format: "json", file });
  renameSync(file, folder.at("kept"));
  mkdirSync(file);
  log.reopen();
  log.info("still here");
  await log.close();
  assert.deepEqual(
    linesOf(folder.at("kept")).map(({ event }) => event),
    ["still here"],
  );
});

test("a full disk costs lines and nothing else", {
  skip: existsSync("/dev/full") ? false : "no /dev/full here",
}, async () => {
  const descriptor = openSync("/dev/full", "w");
  const log = await openLog({ level: "info", format: "json", descriptor });
  for (let n = 0; n < 10; n++) log.info("lost");
  await log.close();
  assert.equal(log.linesLost, 10);
  log.info("after the end");
  log.flush();
  closeSync(descriptor);
});

test("a reader that stops costs lines beyond a bound, and they are counted", async () => {
  await using folder = await tempDir();
  const file = folder.at("log");
  const log = await openLog({ level: "info", format: "json", file });
  const text = "x".repeat(1024 * 1024);
  // All in one turn: nothing can be written meanwhile, as with a reader that stopped.
  for (let n = 0; n < 8; n++) log.info("big", { text });
  assert.ok(log.linesLost >= 3 && log.linesLost <= 5, `${log.linesLost} lost`);
  await log.close();
  assert.equal(linesOf(file).length + log.linesLost, 8);
});

test("flush writes what waits before a death", async () => {
  await using folder = await tempDir();
  const file = folder.at("log");
  const log = await openLog({ level: "info", format: "json", file });
  log.info("first");
  log.info("second");
  log.flush();
  assert.match(readFileSync(file, "utf8"), /second/);
  await log.close();
  assert.equal(linesOf(file).length, 2);
});

test("a pipe that is full is asked again, and at the end left alone", async () => {
  await using folder = await tempDir();
  const path = folder.at("pipe");
  execFileSync("mkfifo", [path]);
  const descriptor = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
  // Filled to the brim.
  assert.throws(
    () => {
      for (;;) writeSync(descriptor, Buffer.alloc(4096));
    },
    { code: "EAGAIN" },
  );
  const clock = fakeClock();
  const log = await openLog({ level: "info", format: "json", descriptor, clock });
  log.info("one");
  await until("the retry", () => clock.pending > 0);
  while (readAll(descriptor) > 0);
  clock.advance(50);
  await until("the line", () => readAll(descriptor) > 0);
  assert.equal(log.linesLost, 0);
  assert.throws(
    () => {
      for (;;) writeSync(descriptor, Buffer.alloc(4096));
    },
    { code: "EAGAIN" },
  );
  log.info("two");
  await until("the retry", () => clock.pending > 0);
  await log.close();
  assert.equal(log.linesLost, 1);
  closeSync(descriptor);
});

/** Bytes that a pipe held. */
function readAll(descriptor: number): number {
  try {
    return readSync(descriptor, Buffer.alloc(1024 * 1024));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EAGAIN") return 0;
    throw error;
  }
}

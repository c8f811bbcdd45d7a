import assert from "node:assert/strict";
import { test } from "node:test";
import { runCommand } from "./command.ts";

const usual = {
  timeoutMs: 60_000,
  maxBytes: 1000,
  environment: { PATH: process.env["PATH"], SECRET: "hidden" },
  signal: new AbortController().signal,
};

test("words are words: no shell sees them, and no variable but three is passed on", async () => {
  const end = await runCommand(["printf", "%s|", "$PATH", "a b", ";id", "`id`"], usual);
  assert.deepEqual(end, { exitCode: 0, timedOut: false, output: "$PATH|a b|;id|`id`|", truncated: false });
  const { output } = await runCommand(["env"], usual);
  assert.ok(!output.includes("SECRET") && output.includes("PATH="), output);
});

test("of long output the end is kept, from both outputs", async () => {
  const script = "i=0; while [ $i -lt 1000 ]; do echo line $i; i=$((i+1)); done; echo last >&2; exit 3";
  const { exitCode, output, truncated } = await runCommand(["sh", "-c", script], usual);
  assert.deepEqual([exitCode, truncated], [3, true]);
  assert.ok(output.length <= 1000 && output.includes("line 999\n"), output);
});

test("what lasts too long is ended with all that it has started", async () => {
  const { exitCode, timedOut } = await runCommand(["sh", "-c", "sleep 600 & sleep 600"], {
    ...usual,
    timeoutMs: 50,
  });
  assert.deepEqual([exitCode, timedOut], [undefined, true]);
});

test("a program that is not there, and an end that comes before the beginning", async () => {
  const absent = await runCommand(["/nowhere/program"], usual);
  assert.match(absent.output, /^\/nowhere\/program cannot be run: .*ENOENT/);
  assert.equal(absent.exitCode, undefined);
  const { exitCode } = await runCommand(["sleep", "600"], { ...usual, signal: AbortSignal.abort() });
  assert.equal(exitCode, undefined);
});

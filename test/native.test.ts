/** The native part: that it is built where it can be, can be switched off, and holds under sanitizers. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { nativePackets } from "#ssh/algorithms";
import { succeed } from "#test/support/child";
import { repository } from "#test/support/gateway";
import { missing } from "#test/support/strangers";

const shown = [
  "--input-type=module",
  "-e",
  'const m = await import("#ssh/algorithms"); console.log(m.nativePackets !== undefined)',
];

test("it is built where there is a compiler, and used", { skip: missing("cc") }, async () => {
  if (process.env["POSTERN_NATIVE"] === "off") assert.equal(nativePackets, undefined);
  const env = { ...process.env, POSTERN_NATIVE: undefined };
  const stdout = await succeed(process.execPath, shown, { cwd: repository, env });
  assert.equal(stdout, "true\n");
});

test("POSTERN_NATIVE=off does without", async () => {
  const env = { ...process.env, POSTERN_NATIVE: "off" };
  const stdout = await succeed(process.execPath, shown, { cwd: repository, env });
  assert.equal(stdout, "false\n");
});

test("its core holds under sanitizers", { skip: missing("cc") }, async () => {
  const runs = process.env["FUZZ_RUNS"] ?? "1500";
  const stdout = await succeed(process.execPath, [`${repository}/tools/test-native.ts`, runs], {
    cwd: repository,
  });
  assert.equal(stdout, `${runs} runs\n`);
});

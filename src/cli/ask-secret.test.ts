import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import { askSecret } from "./ask-secret.ts";
import type { CliContext } from "./context.ts";
import { Interrupted } from "./errors.ts";

/** A person at a terminal: types the next answer whenever a question has been asked. */
function terminal(answers: readonly string[]): { context: CliContext; shown: () => string } {
  const stdin = Object.assign(new PassThrough(), { isTTY: true });
  const stdout = new PassThrough();
  const stderr = new PassThrough();
  const left = [...answers];
  let shown = "";
  for (const output of [stdout, stderr]) {
    output.on("data", (chunk: Buffer) => {
      shown += chunk.toString();
      if (shown.endsWith(": ")) stdin.write(left.shift() ?? "\u0003");
    });
  }
  const app = async (): Promise<never> => {
    throw new Error("nobody needs the app");
  };
  return { context: { stdin, stdout, stderr, environment: {}, app }, shown: () => shown };
}

test("a password is asked for twice, and not shown", async () => {
  const { context, shown } = terminal(["hunter3\u007f2\r", "hunter2\r"]);
  assert.equal(await askSecret(context, "Password", true), "hunter2");
  assert.equal(shown(), "Password: \nPassword again: \n");
});

test("once is enough where nothing is made of it", async () => {
  const { context, shown } = terminal(["öpen sesame\r"]);
  assert.equal(await askSecret(context, "Passphrase", false), "öpen sesame");
  assert.equal(shown(), "Passphrase: \n");
});

test("two that differ, none at all, and Ctrl-C", async () => {
  await assert.rejects(askSecret(terminal(["a\r", "b\r"]).context, "Password", true), {
    code: "OPERATOR_COMMAND_FAILED",
    detail: "the two were not the same",
  });
  await assert.rejects(askSecret(terminal(["\r"]).context, "Password", true), {
    detail: "the password is empty",
  });
  await assert.rejects(askSecret(terminal(["half\u0003"]).context, "Password", true), Interrupted);
});

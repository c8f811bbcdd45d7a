import { run as runProgram } from "#test/support/child";
import { programPath } from "#test/support/strangers";
import { tempDir } from "#test/support/temp-dir";
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { PassThrough, Readable } from "node:stream";
import { test } from "node:test";
import { run } from "./run.ts";

async function scriptFor(shell: string): Promise<string> {
  let script = "";
  const stdout = new PassThrough().on("data", (chunk: Buffer) => {
    script += chunk.toString();
  });
  const app = async (): Promise<never> => await Promise.reject(new Error("completion needs no app"));
  assert.equal(
    await run(["completion", shell], {
      stdin: Readable.from([]),
      stdout,
      stderr: stdout,
      environment: {},
      app,
    }),
    0,
  );
  return script;
}

/** What each shell should offer behind these words. */
const offers: [string[], string[], string[]][] = [
  [["postern", ""], ["serve", "demo", "key", "--help", "completion"], ["generate"]],
  [["postern", "se"], ["serve"], ["demo"]],
  [["postern", "key", ""], ["generate", "fingerprint", "hash-password"], ["serve"]],
  [["postern", "key", "generate", "--"], ["--type", "--comment", "--force"], ["--config"]],
  [["postern", "key", "generate", "-t", ""], ["ed25519", "rsa"], ["--type"]],
  [["postern", "log-level", ""], ["debug", "info", "--control"], ["serve"]],
  [["postern", "--debug", "completion", "f"], ["fish"], ["bash"]],
];

test("bash completes commands, options and their values", {
  skip: programPath("bash") === undefined ? "no bash" : false,
}, async () => {
  await using folder = await tempDir();
  writeFileSync(folder.at("script"), await scriptFor("bash"));
  for (const [words, expected, unexpected] of offers) {
    const code = `source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _postern; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const outcome = await runProgram("bash", ["--norc", "-uec", code, "bash", folder.at("script"), ...words]);
    assert.equal(outcome.code, 0, outcome.stderr);
    const found = outcome.stdout.toString().split("\n");
    for (const word of expected)
      assert.ok(found.includes(word), `${words.join(" ")}: ${word} in ${found.join(" ")}`);
    for (const word of unexpected) assert.ok(!found.includes(word), `${words.join(" ")}: no ${word}`);
  }
});

test("fish completes the same", { skip: programPath("fish") === undefined ? "no fish" : false }, async () => {
  await using folder = await tempDir();
  writeFileSync(folder.at("script"), await scriptFor("fish"));
  for (const [words, expected, unexpected] of offers) {
    const code = `source ${folder.at("script")}; complete -C "${words.join(" ")}"`;
    const outcome = await runProgram("fish", ["--no-config", "-c", code]);
    assert.equal(outcome.code, 0, outcome.stderr);
    const found = outcome.stdout
      .toString()
      .split("\n")
      .map((line) => line.split("\t")[0]);
    // Options are offered by fish only after a dash.
    for (const word of expected.filter((each) => !each.startsWith("-") || words.at(-1) === "--")) {
      assert.ok(found.includes(word), `${words.join(" ")}: ${word} in ${found.join(" ")}`);
    }
    for (const word of unexpected) assert.ok(!found.includes(word), `${words.join(" ")}: no ${word}`);
  }
});

test("zsh can read its script", { skip: programPath("zsh") === undefined ? "no zsh" : false }, async () => {
  await using folder = await tempDir();
  writeFileSync(folder.at("_postern"), await scriptFor("zsh"));
  const code = `autoload -U compinit; compinit -D -u; source ${folder.at("_postern")}; print -- $_comps[postern]`;
  const outcome = await runProgram("zsh", ["-f", "-c", code]);
  assert.equal(outcome.code, 0, outcome.stderr);
  assert.equal(outcome.stdout.toString().trim(), "_postern");
});

test("the scripts speak of every command", async () => {
  for (const shell of ["bash", "zsh", "fish"]) {
    const script = await scriptFor(shell);
    for (const word of [
      "serve",
      "demo",
      "check",
      "explain",
      "generate",
      "fingerprint",
      "hash-password",
      "reload",
      "status",
      "log-level",
      "completion",
      "docs",
    ]) {
      assert.ok(script.includes(word), `${shell}: ${word}`);
    }
  }
});

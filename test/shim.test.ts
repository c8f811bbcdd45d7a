/** bin/postern.js finds a Node that can run the program, and is then nothing but that program to the outside. */
import { Child, run } from "#test/support/child";
import { tempDir, type TempDir } from "#test/support/temp-dir";
import assert from "node:assert/strict";
import { copyFile, mkdir, symlink, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { test } from "node:test";

const root = resolve(import.meta.dirname, "..");

/** Stands before the shim and makes this Node look like an old one, in what the shim can see. */
const oldNode = `
Object.defineProperty(process, "versions", { value: { ...process.versions, node: "20.11.1" } });
process.execve = undefined;
`;

/** Says what it got, then does what its first argument says. */
const program = `
const [deed] = process.argv.slice(2);
for (const signal of ["SIGHUP", "SIGTERM"]) process.on(signal, () => { console.log(signal); if (signal === "SIGTERM") process.exit(7); });
console.log("running " + process.argv.slice(2).join(" "));
if (deed === "echo") process.stdin.pipe(process.stdout);
else if (deed === "exit") process.exitCode = 3;
else if (deed === "die") process.kill(process.pid, "SIGKILL");
else setInterval(() => {}, 1000);
`;

interface Installation extends AsyncDisposable {
  readonly folder: TempDir;
  /** Arguments of node that run the shim as an old Node would. */
  readonly old: readonly string[];
}

async function install(withNode: boolean): Promise<Installation> {
  const folder = await tempDir();
  for (const name of ["bin", "src", "node_modules/node/bin"])
    await mkdir(folder.at(name), { recursive: true });
  await copyFile(join(root, "bin/postern.js"), folder.at("bin/postern.js"));
  await writeFile(folder.at("package.json"), '{ "type": "module" }');
  await writeFile(folder.at("src/main.ts"), program);
  await writeFile(folder.at("old.mjs"), oldNode);
  if (withNode) await symlink(process.execPath, folder.at("node_modules/node/bin/node"));
  const old = ["--import", folder.at("old.mjs"), folder.at("bin/postern.js")];
  return { folder, old, [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose]() };
}

test("a Node that is new enough runs the program itself", async () => {
  await using installed = await install(false);
  const { code, stdout } = await run(process.execPath, [
    installed.folder.at("bin/postern.js"),
    "exit",
    "a b",
  ]);
  assert.deepEqual([code, stdout.toString()], [3, "running exit a b\n"]);
});

test("an old Node hands over to the one that npm brought: arguments, streams, exit code", async () => {
  await using installed = await install(true);
  const { code, stdout } = await run(process.execPath, [...installed.old, "exit", "a b"]);
  assert.deepEqual([code, stdout.toString()], [3, "running exit a b\n"]);
  const echoed = await run(process.execPath, [...installed.old, "echo"], { stdin: { data: "hello" } });
  assert.equal(echoed.stdout.toString(), "running echo\nhello");
});

test("signals are passed on, and a death by signal is told as one", async () => {
  await using installed = await install(true);
  await using child = new Child(process.execPath, [...installed.old, "wait"]);
  await child.waitForStdout(/running wait\n/);
  child.kill("SIGHUP");
  await child.waitForStdout(/SIGHUP\n/);
  child.kill("SIGTERM");
  const { code, stdout } = await child.outcome();
  assert.deepEqual([code, stdout.toString()], [7, "running wait\nSIGHUP\nSIGTERM\n"]);
  const dead = await run(process.execPath, [...installed.old, "die"]);
  assert.deepEqual([dead.code, dead.signal], [null, "SIGKILL"]);
});

test("an old Node alone says in one sentence what to do", async () => {
  await using installed = await install(false);
  const { code, stdout, stderr } = await run(process.execPath, [...installed.old, "exit"]);
  assert.deepEqual([code, stdout.toString()], [1, ""]);
  assert.match(
    stderr,
    /^postern: this is Node 20\.11\.1, and Node 24\.7 or newer is needed: run "npm ci" in .*\n$/,
  );
});

test("an installation whose Node is old as well does not start itself for ever", async () => {
  await using installed = await install(true);
  const { code, stderr } = await run(process.execPath, [...installed.old, "exit"], {
    env: { POSTERN_NODE: "x" },
  });
  assert.equal(code, 1);
  assert.match(stderr, /is needed/);
});

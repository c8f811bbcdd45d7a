/** `npm start` on a fresh machine: it prints the exact command to try, and that command logs in. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Child, run } from "#test/support/child";
import { program, repository } from "#test/support/gateway";
import { runOnPty } from "#test/support/pty";
import { missing } from "#test/support/strangers";
import { tempDir } from "#test/support/temp-dir";

const skip = missing("ssh", "python3");
const colours = new RegExp(`${String.fromCharCode(27)}\\[[0-9;]*m`, "g");

/** The printed command, as words. */
async function commandOf(demo: Child): Promise<string[]> {
  const all = (): string => (demo.stdout.toString() + demo.stderr).replace(colours, "");
  const line = await demo.waitFor("a command to try", () => /^[\s$>]*(ssh\s.*-p\s*\d+.*)$/m.exec(all())?.[1]);
  return line.trim().split(/\s+/);
}

test("npm start: the command that it prints logs in", { skip }, async () => {
  await using folder = await tempDir();
  // Its state belongs into the folder that it is started in, and this one is thrown away.
  await using demo = new Child(process.execPath, [program, "demo"], {
    cwd: folder.path,
    env: { HOME: folder.path },
  });
  const [ssh = "", ...args] = await commandOf(demo);
  // As a person would who has never been there: only the question about the host key is answered beforehand.
  const settings = ["-F", "none", "-o", "StrictHostKeyChecking=accept-new"];
  const shell = await runOnPty(
    {
      command: [ssh, ...settings, ...args],
      steps: [
        { expect: "password: $", send: "demo\n" },
        { expect: "[$>] $", send: "whoami\n" },
        { expect: "demo\r\n.*[$>] $", send: "exit\n" },
      ],
    },
    { cwd: folder.path, env: { HOME: folder.path, SSH_AUTH_SOCK: undefined } },
  );
  assert.equal(shell.code, 0, shell.stdout.toString() + shell.stderr);
  demo.kill("SIGINT");
  assert.equal((await demo.outcome()).code, 0);
});

test("npm start in package.json starts the demo", async () => {
  const { stdout } = await run("node", ["-p", "JSON.parse(fs.readFileSync('package.json')).scripts.start"], {
    cwd: repository,
  });
  assert.equal(stdout.toString().trim(), "node bin/postern.js demo");
});

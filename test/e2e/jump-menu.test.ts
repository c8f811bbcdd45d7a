/** The menu: `ssh gate` on a terminal, a choice, and the target's own session in the same connection. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { userInfo } from "node:os";
import { after, before, test } from "node:test";
import { stripVTControlCharacters } from "node:util";
import type { Outcome } from "#test/support/child";
import { type EntryWorld, startEntryWorld } from "#test/support/entries";
import { noTerminal, type PtyPlan, runOnPty } from "#test/support/pty";
import { runSsh, sshCommand } from "#test/support/ssh";
import { missing, stranger } from "#test/support/strangers";
import { bareKey } from "#test/support/test-keys";
import { keyLogin } from "#test/support/world";

const skip = missing("ssh", "sshd", "python3");
const skipTerminal = skip === false ? noTerminal : skip;
let world: EntryWorld;

before(async () => {
  if (skip !== false) return;
  world = await startEntryWorld({
    listener: {},
    rules: (identity, sshds) => [
      {
        name: "menu",
        match: { user: "ada" },
        login: [keyLogin(identity)],
        serve: "jump",
        targets: ["web1", "web2", "gone"],
        upstream: {
          user: userInfo().username,
          credentials: [{ kind: "key", file: identity.path }],
          hostKey: { keys: sshds.map(({ hostKeys: [key] }) => bareKey(key?.publicLine ?? "")) },
        },
      },
    ],
    config: { audit: [{ kind: "jsonl", file: "audit.jsonl" }] },
  });
});
after(async () => {
  await world?.[Symbol.asyncDispose]();
});

async function menu(steps: PtyPlan["steps"], more: Partial<PtyPlan> = {}, term = "xterm"): Promise<Outcome> {
  const target = world.gateway.target("ada", world.identity.path);
  const command = [stranger("ssh"), ...sshCommand(target, [])];
  return await runOnPty(
    { command, ...more, ...(steps === undefined ? {} : { steps }) },
    { env: { TERM: term } },
  );
}

const shown = ({ stdout }: Outcome): string => stripVTControlCharacters(stdout.toString());

test("type, choose, and be there, on a terminal of its size", { skip: skipTerminal }, async () => {
  const outcome = await menu([
    { expect: "web1.*web2.*1/3", send: "web2" },
    { expect: "1/1", send: "\r" },
    { expect: "[$#] ", send: "echo at $TARGET on $TERM; stty size; exit 7\r" },
  ]);
  assert.match(shown(outcome), /at web2 on xterm\r\n24 80\r\n/);
  assert.equal(outcome.code, 7);
});

test("arrows move; a new size while choosing is the target's too", { skip: skipTerminal }, async () => {
  const outcome = await menu([
    { expect: "1/3", resize: [12, 40] },
    { expect: "1/3", send: "\u001b[B" },
    { expect: "2/3", send: "\r" },
    { expect: "[$#] ", send: "echo at $TARGET; stty size; exit\r" },
  ]);
  assert.match(shown(outcome), /at web2\r\n12 40\r\n/);
});

test("what is typed ahead is for the target", { skip: skipTerminal }, async () => {
  const outcome = await menu([{ expect: "1/3", send: "web1\recho at $TARGET; exit\r" }]);
  assert.match(shown(outcome), /at web1\r\n/);
});

test("escape, ctrl-C and ctrl-D leave", { skip }, async () => {
  for (const key of ["\u001b", "\u0003", "\u0004"]) {
    const outcome = await menu([{ expect: "1/3", send: key }]);
    assert.equal(outcome.code, 130, JSON.stringify(key));
    assert.doesNotMatch(shown(outcome), /disconnect/i);
    // The screen is given back.
    assert(outcome.stdout.includes("\u001b[?1049l"));
  }
});

test("a target that is down is told, and another can be chosen", { skip: skipTerminal }, async () => {
  const outcome = await menu([
    { expect: "1/3", send: "gone\r" },
    { expect: "cannot be reached.*Press a key", send: "x" },
    { expect: "1/3", send: "\r" },
    { expect: "[$#] ", send: "echo at $TARGET; exit\r" },
  ]);
  assert.match(shown(outcome), /at web1\r\n/);
});

test("a terminal that knows nothing but lines gets lines, without escape sequences", {
  skip: skipTerminal,
}, async () => {
  const outcome = await menu(
    [
      { expect: "2  web2\r\n3  gone\r\nNumber or name: ", send: "2\r" },
      { expect: "[$#] ", send: "echo at $TARGET; exit\r" },
    ],
    {},
    "dumb",
  );
  const before = outcome.stdout.toString().split("Connecting")[0] ?? "";
  assert(!before.includes("\u001b"), before);
  assert.match(shown(outcome), /at web2\r\n/);
});

test("without a terminal there is no menu: words, the list, and -J as ever", { skip }, async () => {
  const target = world.gateway.target("ada", world.identity.path);
  const shell = await runSsh(target, [], { flags: ["-T"] });
  assert.equal(shell.code, 1);
  assert.match(shell.stderr, /ssh -J/);
  assert.equal((await runSsh(target, ["ls"])).stdout.toString(), "web1\nweb2\ngone\n");
  assert.match((await runSsh(target, ["ls"], { flags: ["-tt"] })).stdout.toString(), /web1\r\nweb2\r\n/);
  const through = await runSsh(target, [], { flags: ["-W", "web1:22"] });
  assert.match(through.stdout.toString(), /^SSH-2\.0-OpenSSH/);
  assert.match((await runSsh(target, ["true"])).stderr, /no such commands/);
});

test("the audit tells where a choice led", { skip: skipTerminal }, async () => {
  await menu([
    { expect: "1/3", send: "web2\r" },
    { expect: "[$#] ", send: "exit\r" },
  ]);
  const text = await readFile(world.gateway.folder.at("audit.jsonl"), "utf8");
  assert.match(text, new RegExp(`"event":"decision".*"rule":"menu".*127.0.0.1:${world.second.port}`));
});

/** The menu by the person's own agent, and when the gateway stops; and a jump host's keys, which its clients learn. */
import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { userInfo } from "node:os";
import { test } from "node:test";
import { stripVTControlCharacters } from "node:util";
import { startAgent } from "#test/support/agent";
import { startGateway } from "#test/support/gateway";
import { noTerminal, runOnPty } from "#test/support/pty";
import { spawnSsh, sshCommand } from "#test/support/ssh";
import { startSshd } from "#test/support/sshd";
import { missing, stranger } from "#test/support/strangers";
import { tempDir } from "#test/support/temp-dir";
import { bareKey, knownHostsLine, makeKey } from "#test/support/test-keys";
import { until } from "#test/support/waiting";
import { keyLogin } from "#test/support/world";

const skip = missing("ssh", "sshd", "python3");
const skipTerminal = skip === false ? noTerminal : skip;

/** A gateway with a menu of one target, whose keys are the person's own or the gateway's. */
async function startMenu(stack: AsyncDisposableStack, by: "agent" | "key") {
  const folder = stack.use(await tempDir());
  const identity = makeKey(folder.at("id"), "ed25519");
  const sshd = stack.use(
    await startSshd({ config: ["SetEnv TARGET=web1"], authorizedKeys: [identity.publicLine] }),
  );
  const gateway = stack.use(
    await startGateway({
      hostKeys: ["ed25519", "ecdsa-256"],
      config: { targets: [{ name: "web1", host: "127.0.0.1", port: sshd.port }] },
      rules: [
        {
          name: "menu",
          match: { user: "ada" },
          login: [keyLogin(identity)],
          serve: "jump",
          targets: ["web1"],
          upstream: {
            user: userInfo().username,
            credentials: [by === "agent" ? { kind: "agent" } : { kind: "key", file: identity.path }],
            hostKey: { keys: sshd.hostKeys.map((key) => bareKey(key.publicLine)) },
          },
        },
      ],
    }),
  );
  return { folder, identity, gateway, sshd };
}

const shutting = "This gateway is shutting down: this session ends in";

test("the target is entered by the agent that the person forwards", { skip: skipTerminal }, async () => {
  await using stack = new AsyncDisposableStack();
  const { gateway, identity } = await startMenu(stack, "agent");
  const agent = stack.use(await startAgent([identity.path]));
  const target = gateway.target("ada", identity.path);
  const menu = async (flags: readonly string[], steps: Parameters<typeof runOnPty>[0]["steps"] = []) =>
    await runOnPty(
      {
        command: [
          stranger("ssh"),
          ...sshCommand(target, [], { flags, options: [`IdentityAgent=${agent.socket}`] }),
        ],
        steps,
      },
      { env: { TERM: "xterm", SSH_AUTH_SOCK: agent.socket } },
    );
  const entered = await menu(
    ["-A"],
    [
      { expect: "1/1", send: "\r" },
      { expect: "[$#] ", send: "echo at $TARGET; exit 5\r" },
    ],
  );
  assert.match(stripVTControlCharacters(entered.stdout.toString()), /at web1\r\n/);
  assert.equal(entered.code, 5);
  // Who forwards none is told what to do, and is back at the menu.
  const without = await menu(
    ["-a"],
    [
      { expect: "1/1", send: "\r" },
      { expect: "Press a key", send: "x" },
      { expect: "1/1", send: "\u0003" },
    ],
  );
  assert.match(stripVTControlCharacters(without.stdout.toString()), /ssh -A|ForwardAgent/);
  assert.equal(without.code, 130);
});

test("who chooses is told that the gateway stops, and so is who has chosen", {
  skip: skipTerminal,
}, async () => {
  await using stack = new AsyncDisposableStack();
  const { gateway, identity, sshd } = await startMenu(stack, "key");
  const target = gateway.target("ada", identity.path);
  const command = [stranger("ssh"), ...sshCommand(target, [])];
  const env = { TERM: "xterm" };
  const chooses = runOnPty(
    { command, steps: [{ expect: "1/1" }, { expect: shutting, send: "\u0003" }] },
    { env },
  );
  const chosen = runOnPty(
    {
      command,
      steps: [
        { expect: "1/1", send: "\r" },
        { expect: shutting, send: "exit\r" },
      ],
    },
    { env },
  );
  await until("a menu and a shell", () => {
    const open = gateway.events("menu-opened").length === 2;
    return open && /Starting session: shell/.test(sshd.child.stderr);
  });
  gateway.signal("SIGTERM");
  assert.equal((await chooses).code, 130);
  assert.match((await chosen).stdout.toString(), /shutting down/);
});

test("clients of a jump host learn its other host keys", { skip }, async () => {
  await using stack = new AsyncDisposableStack();
  const { folder, gateway, identity } = await startMenu(stack, "key");
  const known = folder.at("known");
  const [first] = gateway.hostKeys;
  await writeFile(known, `${knownHostsLine(gateway.host, gateway.port, first?.publicLine ?? "")}\n`);
  const target = { ...gateway.target("ada", identity.path), knownHosts: known };
  await using ssh = spawnSsh(target, [], {
    stdin: "open",
    flags: ["-v", "-N"],
    options: ["UpdateHostKeys=yes", "HostKeyAlgorithms=ssh-ed25519,ecdsa-sha2-nistp256"],
  });
  const blobs = async (): Promise<string[]> =>
    (await readFile(known, "utf8"))
      .split("\n")
      .filter((line) => line !== "" && !line.startsWith("#"))
      .map((line) => line.split(" ").slice(1, 3).join(" "));
  await until("the second key", async () => (await blobs()).length === 2);
  assert.deepEqual(
    new Set(await blobs()),
    new Set(gateway.hostKeys.map(({ publicLine }) => bareKey(publicLine))),
  );
  assert.ok(ssh.running);
});

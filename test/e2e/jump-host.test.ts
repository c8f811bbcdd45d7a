/** The jump host: `ssh -J`, `ssh -W`, `nc` and `nc -U`, to targets by our names; no shell, no process. */
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { userInfo } from "node:os";
import { after, before, test } from "node:test";
import { type ChildOptions, type Outcome, run } from "#test/support/child";
import { type EntryWorld, startEntryWorld } from "#test/support/entries";
import { missing, stranger } from "#test/support/strangers";
import { keyLogin } from "#test/support/world";

const skip = missing("ssh", "sshd");
const account = userInfo().username;
let world: EntryWorld;
let config: string;

before(async () => {
  if (skip !== false) return;
  world = await startEntryWorld({
    listener: {},
    names: ["web1.gate.example"],
    config: { audit: [{ kind: "jsonl", file: "audit.jsonl" }], limits: { maxChannels: 200 } },
    rules: (identity) => [
      {
        name: "jump",
        match: { user: "ada" },
        login: [keyLogin(identity)],
        serve: "jump",
        targets: ["web1", "web2", "gone"],
      },
    ],
  });
  config = world.gateway.folder.at("ssh_config");
  const lines = [
    "Host gate",
    "  HostName 127.0.0.1",
    `  Port ${world.gateway.port}`,
    "  User ada",
    "Host host-*",
    `  ProxyCommand ssh -F ${config} gate nc -U /home/host/%h.sock`,
    "Host sock-*",
    `  ProxyCommand ssh -F ${config} gate nc -U /home/host/%h`,
    "Host host-1 sock-1",
    "  HostName web1",
    "Host host-2",
    "  HostName web2",
    "Host *",
    `  User ${account}`,
    `  UserKnownHostsFile ${world.knownHosts} ${world.gateway.knownHosts}`,
    `  IdentityFile ${world.identity.path}`,
    "  IdentitiesOnly yes",
    "  IdentityAgent none",
    "  BatchMode yes",
    "  StrictHostKeyChecking yes",
    "  GlobalKnownHostsFile none",
  ];
  await writeFile(config, `${lines.join("\n")}\n`);
});
after(async () => {
  await world?.[Symbol.asyncDispose]();
});

async function ssh(args: readonly string[], options: ChildOptions = {}): Promise<Outcome> {
  return await run(stranger("ssh"), ["-F", config, ...args], options);
}

const show = 'printf %s "$TARGET"';
const ways: readonly (readonly [name: string, args: () => string[]])[] = [
  ["ssh -J", () => ["-J", "ada@gate"]],
  ["ssh -J, host and port", () => ["-J", `ada@127.0.0.1:${world.gateway.port}`]],
  ["ssh -W as ProxyCommand", () => ["-o", `ProxyCommand=ssh -F ${config} -W %h:%p ada@gate`]],
  ["nc", () => ["-o", `ProxyCommand=ssh -F ${config} gate nc %h %p`]],
  ["nc with options", () => ["-o", `ProxyCommand=ssh -F ${config} gate exec nc -w 5 %h %p 2>/dev/null`]],
  ["nc -U", () => ["-o", `ProxyCommand=ssh -F ${config} gate nc -U /home/host/%h.sock`]],
];
for (const [name, args] of ways)
  test(`${name}: the session is the target's`, { skip }, async () => {
    for (const target of ["web1", "web2"]) {
      const { code, stdout } = await ssh([...args(), target, show]);
      assert.equal(stdout.toString(), target);
      assert.equal(code, 0);
    }
  });

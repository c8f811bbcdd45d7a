/** Targets whose SSH ends at the gateway, by every way in: login, policy and audit hold as for a user name. */
import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { userInfo } from "node:os";
import { after, before, test } from "node:test";
import { selfSigned } from "#test/support/certificates";
import { type Outcome, run } from "#test/support/child";
import { type EntryWorld, newOpenSsh, startEntryWorld } from "#test/support/entries";
import { postern, program } from "#test/support/gateway";
import { debianPython, missing, stranger } from "#test/support/strangers";
import { bareKey } from "#test/support/test-keys";
import { tempDir, type TempDir } from "#test/support/temp-dir";
import { until } from "#test/support/waiting";
import { keyLogin } from "#test/support/world";

const skip = missing("ssh", "sshd", "openssl", "nc", "websockets");
const ssh10 = newOpenSsh();
const account = userInfo().username;
const python = `${debianPython} ${new URL("../support/python/websocket_pipe.py", import.meta.url).pathname}`;
let folder: TempDir;
let world: EntryWorld;
let settings: readonly string[];

before(async () => {
  if (skip !== false) return;
  folder = await tempDir();
  const gate = await selfSigned(folder, "gate", "recorded", "itself", "localhost");
  world = await startEntryWorld({
    listener: {},
    config: {
      listen: [
        {
          address: "0.0.0.0:0",
          entries: ["ssh", "version", "tls", "http", "websocket", "address"],
          silentSeconds: "9s",
        },
      ],
      tls: { certificates: [gate], gatewayNames: ["localhost"] },
      audit: [{ kind: "jsonl", file: "audit.jsonl" }],
    },
    more: [{ name: "itself", mode: "terminate" }],
    terminated: "recorded",
    terminatedAt: ["127.0.6.1"],
    rules: (identity, sshds) => {
      const upstream = {
        credentials: [{ kind: "key", file: identity.path }],
        hostKey: { keys: sshds.map(({ hostKeys: [key] }) => bareKey(key?.publicLine ?? "")) },
      };
      const login = [keyLogin(identity)];
      return [
        {
          name: "recorded",
          match: { user: account, targets: ["recorded"] },
          login,
          upstream: { ...upstream, user: account },
          policy: { exec: ["echo $TARGET"], setEnv: { POSTERN_AT: "{target}" } },
        },
        {
          name: "ordinary",
          match: { user: "ada" },
          login,
          upstream: { ...upstream, user: account, host: "127.0.0.1", port: sshds[1]?.port },
        },
        {
          name: "here",
          mode: "splice",
          match: { from: ["127.0.0.0/8"] },
          targets: ["recorded", "itself"],
        },
      ];
    },
  });
  const own = bareKey(world.gateway.hostKeys[0]?.publicLine ?? "");
  const known = world.gateway.folder.at("known_terminated");
  await writeFile(known, `recorded ${own}\nitself ${own}\n`);
  settings = [
    `UserKnownHostsFile=${known}`,
    "GlobalKnownHostsFile=none",
    "StrictHostKeyChecking=yes",
    `IdentityFile=${world.identity.path}`,
    "IdentitiesOnly=yes",
    "IdentityAgent=none",
    "BatchMode=yes",
  ].flatMap((each) => ["-o", each]);
});
after(async () => {
  await world?.[Symbol.asyncDispose]();
  await folder?.[Symbol.asyncDispose]();
});

type Way = (name: string, user: string, command: string) => readonly string[];

function stock(...options: readonly string[]): Way {
  return (name, user, command) => {
    const port = String(world.gateway.port);
    const filled = options.map((each) => each.replaceAll("PORT", port).replaceAll("NAME", name));
    const own = ["-F", "none", ...settings, ...filled.flatMap((each) => ["-o", each]), "-l", user];
    return [stranger("ssh"), ...own, name, command];
  };
}

const ways: Readonly<Record<string, Way>> = {
  tls: stock(`ProxyCommand=${stranger("openssl")} s_client -quiet -connect 127.0.0.1:PORT -servername %h`),
  http: stock(`ProxyCommand=${stranger("nc")} -X connect -x 127.0.0.1:PORT %h 22`),
  websocket: stock(`ProxyCommand=${python} ws://127.0.0.1:PORT/ssh/%h`),
  version: (name, user, command) => [
    process.execPath,
    program,
    "ssh",
    "-F",
    "none",
    "-q",
    "-l",
    user,
    ...settings,
    "--via",
    "version",
    "--gate",
    `127.0.0.1:${world.gateway.port}`,
    name,
    command,
  ],
  address: stock("HostName=127.0.6.1", "Port=PORT", "HostKeyAlias=NAME"),
  ...(ssh10 === undefined
    ? {}
    : {
        "version, by OpenSSH": (name: string, user: string, command: string) => [
          ssh10,
          ...stock(
            "HostName=127.0.0.1",
            "Port=PORT",
            "HostKeyAlias=NAME",
            "VersionAddendum=Host: NAME",
          )(name, user, command).slice(1),
        ],
      }),
};

async function at(way: Way, name: string, user: string, command: string): Promise<Outcome> {
  const [client = "", ...args] = way(name, user, command);
  return await run(client, args);
}

test("the rule for the target decides, with its policy, whichever way the name came in", {
  skip,
}, async () => {
  for (const [title, way] of Object.entries(ways)) {
    const allowed = await at(way, "recorded", account, "echo $TARGET");
    assert.equal(allowed.stdout.toString(), "web1\n", `${title}: ${allowed.stderr}`);
    assert.match(
      (await at(way, "recorded", account, "id")).stderr,
      /This command is not allowed here/,
      title,
    );
    // The ordinary rules are for those who come without a target.
    assert.match(
      (await at(way, "recorded", "ada", "echo x")).stderr,
      /Permission denied|does not let/,
      title,
    );
  }
});

test("the gateway itself by name: its ordinary rules hold", { skip }, async () => {
  for (const title of ["tls", "http", "websocket", "version"] as const) {
    const way = ways[title];
    assert.ok(way !== undefined);
    assert.equal((await at(way, "itself", "ada", "echo $TARGET")).stdout.toString(), "web2\n", title);
    assert.match(
      (await at(way, "itself", account, "echo x")).stderr,
      /Permission denied|does not let/,
      title,
    );
  }
});

test("the audit tells of login, commands and what was refused, as of any session", { skip }, async () => {
  await until("the story", async () => {
    const text = await readFile(world.gateway.folder.at("audit.jsonl"), "utf8");
    const lines = text
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    const decided = lines.filter(({ event, rule }) => event === "decision" && rule === "recorded");
    const asked = lines.filter(({ event }) => event === "request");
    return decided.length >= 10 && asked.some((line) => JSON.stringify(line).includes("echo $TARGET"));
  });
});

test("explain tells which rule it will be", { skip }, async () => {
  const config = ["-c", world.gateway.configFile];
  const named = await postern(["explain", "--target", "recorded", account, ...config]);
  assert.match(named.stdout.toString(), /\* recorded {2}matched/, named.stderr);
  assert.match(named.stdout.toString(), new RegExp(`The session goes to 127\\.0\\.0\\.1:${world.sshd.port}`));
  const bare = await postern(["explain", account, ...config]);
  assert.match(bare.stdout.toString(), /- recorded {2}skipped: .*target/);
  const byName = await postern(["explain", "@recorded", "--from", "127.0.0.1", ...config]);
  assert.match(byName.stdout.toString(), /SSH ends here[^\n]*explain --target recorded/);
});

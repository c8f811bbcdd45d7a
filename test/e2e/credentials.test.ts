/** How the gateway logs in behind: a certificate of its own CA, a key in an ssh-agent, nothing at all. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { appendFile, readFile, writeFile } from "node:fs/promises";
import { type Agent, startAgent } from "#test/support/agent";
import { succeed } from "#test/support/child";
import { type FakeAgent, fakeAgent } from "#test/support/fake-agent";
import { postern } from "#test/support/gateway";
import { runSsh } from "#test/support/ssh";
import { type Sshd, startSshd } from "#test/support/sshd";
import { noTerminal } from "#test/support/pty";
import { missing } from "#test/support/strangers";
import { bareKey, certify, type KeyFiles, keyKinds } from "#test/support/test-keys";
import { needsRoot } from "#test/support/test-user";
import { keyRule, startWorld, upstreamTo, type World } from "#test/support/world";

const skip = missing("ssh", "sshd");
let world: World;
let agent: Agent;
let silent: FakeAgent;
let open: Sshd;
let trusting: Sshd;
let [unlisted, certified, stranger, authority, otherAuthority]: KeyFiles[] = [];

const line = (key: KeyFiles | undefined): string => key?.publicLine ?? "";
const upstreamKeys = (): KeyFiles[] => keyKinds.map((kind) => world.keys.key(kind, "upstream"));

before(async () => {
  if (skip !== false) return;
  world = await startWorld({ rules: () => [] });
  const { keys, sshd, gateway, user } = world;
  unlisted = keys.key("ed25519", "unlisted");
  certified = keys.key("ed25519", "certified");
  stranger = keys.key("ed25519", "stranger");
  authority = keys.key("ed25519", "authority");
  otherAuthority = keys.key("ed25519", "other-authority");
  certify(authority, certified, { principals: [user.name] });
  const lines = [...upstreamKeys(), unlisted].map(line);
  await appendFile(
    sshd.authorizedKeysFile,
    `${lines.join("\n")}\ncert-authority ${bareKey(line(authority))}\n`,
  );
  agent = await startAgent([stranger, ...upstreamKeys(), unlisted, certified].map(({ path }) => path));
  silent = await fakeAgent(() => "silence");
  open = await startSshd({ config: ["PasswordAuthentication yes", "PermitEmptyPasswords yes"] });
  if (needsRoot === false) await succeed("passwd", ["-d", user.name]);
  const byAgent = keys.key("rsa", "agent-authority");
  const caFile = keys.folder.at("trusted_user_ca");
  await writeFile(caFile, [authority, byAgent].map(line).join("\n"));
  await writeFile(keys.folder.at("principals"), "people\n");
  trusting = await startSshd({
    config: [
      `TrustedUserCAKeys ${caFile}`,
      "AuthorizedKeysFile none",
      `AuthorizedPrincipalsFile ${keys.folder.at("principals_%u")}`,
    ],
  });
  await writeFile(keys.folder.at(`principals_${user.name}`), `${user.name}\npeople\n`);
  await succeed("ssh-add", ["-q", byAgent.path], { env: { SSH_AUTH_SOCK: agent.socket } });
  const certificates = (name: string, more: object = {}, match: object = { user: name }): object =>
    keyRule(world, name, {
      match,
      upstream: upstreamTo(
        { ...world, sshd: trusting },
        { credentials: [{ kind: "certificate", ca: authority?.path, ...more }] },
      ),
    });
  const rule = (name: string, ...credentials: readonly object[]): object =>
    keyRule(world, name, { upstream: upstreamTo(world, { credentials }) });
  const held = (key: string, socket = agent.socket): object => ({ kind: "local-agent", socket, key });
  const rules = [
    ...upstreamKeys().map((key, at) => rule(`agent-${keyKinds[at]}`, held(key.fingerprint))),
    rule("line", held(line(upstreamKeys()[0]))),
    rule("certificate", held(await readFile(`${certified.path}-cert.pub`, "utf8"))),
    rule("missing", held(world.identity.fingerprint)),
    rule("wrong", held(stranger.fingerprint)),
    rule("nobody", held(stranger.fingerprint, gateway.folder.at("no.sock"))),
    rule("silent", { ...held(stranger.fingerprint, silent.socket), timeoutSeconds: 1 }),
    rule(
      "next",
      held(stranger.fingerprint, gateway.folder.at("no.sock")),
      held(upstreamKeys()[0]?.fingerprint ?? ""),
    ),
    keyRule(world, "none", {
      upstream: upstreamTo({ ...world, sshd: open }, { credentials: [{ kind: "none" }] }),
    }),
    rule("none-refused", { kind: "none" }),
    certificates("ca"),
    certificates("ca-people", { principals: ["{group}"] }, { userPattern: "(?<group>[a-z]+)-ca" }),
    certificates("ca-other", { ca: otherAuthority.path }),
    certificates("ca-agent", { ca: undefined, socket: agent.socket, key: byAgent.fingerprint }),
    certificates("ca-command", { forceCommand: "echo forced" }),
    certificates("ca-here", { sourceAddress: ["127.0.0.0/8"] }),
    certificates("ca-elsewhere", { sourceAddress: ["192.0.2.0/24"] }),
    certificates("ca-bare", { extensions: [] }),
  ];
  await gateway.rewrite(rules as never);
  gateway.signal("SIGHUP");
  await gateway.waitForLog("reload", ({ event }) => event === "reloaded");
});
after(async () => {
  await agent?.[Symbol.asyncDispose]();
  await silent?.[Symbol.asyncDispose]();
  await trusting?.[Symbol.asyncDispose]();
  await open?.[Symbol.asyncDispose]();
  await world?.[Symbol.asyncDispose]();
});

const login = (user: string) => runSsh(world.gateway.target(user, world.identity.path), ["id -un"]);

async function enters(user: string): Promise<void> {
  const { code, stdout, stderr } = await login(user);
  assert.equal(code, 0, stderr);
  assert.equal(stdout.toString(), `${world.user.name}\n`);
}

for (const kind of keyKinds) {
  test(`agent: an ${kind} key of ssh-agent enters the upstream`, { skip }, () => enters(`agent-${kind}`));
}

test("agent: the key may be named by its public line", { skip }, () => enters("line"));

test("agent: a certificate is named by its public line", { skip }, async () => {
  await enters("certificate");
  assert.ok(world.sshd.count(/Accepted publickey .* ED25519-CERT .* ID test certificate/) > 0);
});

test("agent: no other key of the agent is offered", { skip }, async () => {
  const { code, stderr } = await login("wrong");
  assert.equal(code, 255);
  assert.match(stderr, /refused the gateway's login/);
  const failed = world.sshd.child.stderr
    .split("\n")
    .filter((text) => text.includes("Accepted key") || text.includes("Accepted publickey"));
  const { fingerprint = "?" } = unlisted ?? {};
  assert.ok(!failed.join("\n").includes(fingerprint), "the agent holds a key that would have done");
});

test("agent: what is wrong with it is told in words, to the person and in the log", { skip }, async () => {
  const cases = [
    ["missing", "OPERATOR_AGENT_KEY_MISSING", /does not have it any more/],
    ["nobody", "OPERATOR_AGENT_UNREACHABLE", /cannot reach the agent/],
    ["silent", "OPERATOR_AGENT_SILENT", /does not answer/],
  ] as const;
  for (const [user, reason, words] of cases) {
    const { code, stderr } = await login(user);
    assert.equal(code, 255);
    assert.match(stderr, words);
    const text = JSON.stringify(
      await world.gateway.waitForLog(reason, (entry) => JSON.stringify(entry).includes(reason)),
    );
    assert.match(text, /credential-failed/);
  }
});

test("agent: the next credential is tried when there is no agent", { skip }, () => enters("next"));

test("agent: the environment's agent is used by a rule that says so, and by no other", { skip }, async () => {
  const [key] = upstreamKeys();
  const base = { kind: "local-agent", key: key?.fingerprint };
  await using own = await startWorld({
    env: { SSH_AUTH_SOCK: agent.socket },
    rules: (parts) => [
      keyRule(parts, "says", {
        upstream: upstreamTo(
          { ...parts, sshd: world.sshd },
          {
            user: world.user.name,
            credentials: [{ ...base, socket: "${env:SSH_AUTH_SOCK}" }],
          },
        ),
      }),
      keyRule(parts, "silent", {
        upstream: upstreamTo(
          { ...parts, sshd: world.sshd },
          {
            user: world.user.name,
            credentials: [{ kind: "key", file: stranger?.path }],
          },
        ),
      }),
    ],
  });
  const run = (user: string) => runSsh(own.gateway.target(user, own.identity.path), ["id -un"]);
  const { code, stderr } = await run("says");
  assert.equal(code, 0, stderr);
  assert.equal((await run("silent")).code, 255);
  await own.gateway.rewrite([
    keyRule(own, "says", { upstream: upstreamTo(own, { credentials: [{ ...base }] }) }),
  ]);
  const checked = await postern(["check", "-c", own.gateway.configFile], {
    env: { SSH_AUTH_SOCK: agent.socket },
  });
  assert.notEqual(checked.code, 0);
  assert.match(checked.stderr, /socket/);
});

test("none: an upstream that asks for no proof is entered", { skip: skip || needsRoot }, async () => {
  await enters("none");
  assert.ok(open.count(/Accepted none for/) > 0);
});

test("none: an upstream that asks for proof is not", { skip }, async () => {
  const { code, stderr } = await login("none-refused");
  assert.equal(code, 255);
  assert.match(stderr, /refused the gateway's login/);
});

test("certificate: an upstream that trusts the CA and holds no key of the gateway's is entered", {
  skip,
}, async () => {
  await enters("ca");
  const issued = await world.gateway.waitForLog(
    "the certificate",
    ({ event, keyId }) => event === "certificate-issued" && String(keyId).startsWith("ca session "),
  );
  const [opened] = world.gateway.events("session-opened").filter(({ rule }) => rule === "ca");
  assert.equal(issued["session"], opened?.["session"]);
  assert.equal(issued["keyId"], `ca session ${String(opened?.["session"])}`);
  await trusting.child.waitForStderr(
    new RegExp(`Accepted publickey for .* ED25519-CERT .* ID ${issued["keyId"]} \\(serial `),
  );
});

test("certificate: each session has another key", { skip }, async () => {
  await enters("ca");
  await enters("ca");
  const keys = world.gateway.events("certificate-issued").map(({ key }) => key);
  assert.equal(new Set(keys).size, keys.length);
});

test("certificate: principals may be captures", { skip }, async () => {
  await enters("people-ca");
  const { code, stderr } = await login("strangers-ca");
  assert.equal(code, 255);
  assert.match(stderr, /refused the gateway's login/);
  assert.ok(trusting.count(/does not contain an authorized principal|name is not a listed principal/i) > 0);
});

test("certificate: a CA that the upstream does not trust is of no use", { skip }, async () => {
  const { code, stderr } = await login("ca-other");
  assert.equal(code, 255);
  assert.match(stderr, /refused the gateway's login/);
});

test("certificate: the CA's key may be in an ssh-agent", { skip }, () => enters("ca-agent"));

test("certificate: the upstream keeps to the critical options", { skip }, async () => {
  const forced = await login("ca-command");
  assert.equal(forced.stdout.toString(), "forced\n", forced.stderr);
  await enters("ca-here");
  assert.equal((await login("ca-elsewhere")).code, 255);
});

test("certificate: what the extensions do not permit, the upstream refuses", {
  skip: skip || noTerminal,
}, async () => {
  await enters("ca-bare");
  const tty = (user: string) =>
    runSsh(world.gateway.target(user, world.identity.path), ["tty"], { flags: ["-tt"] });
  assert.match((await tty("ca")).stdout.toString(), /\/dev\/pts\//);
  const bare = await tty("ca-bare");
  assert.match(bare.stderr, /PTY allocation request failed/);
  assert.doesNotMatch(bare.stdout.toString(), /\/dev\/pts\//);
});

test("certificate: a CA by postern ca, and its rotation without a login lost", { skip }, async () => {
  const { keys } = world;
  const ca = async (...args: readonly string[]): Promise<string> => {
    const { code, stdout, stderr } = await postern(["ca", ...args]);
    assert.equal(code, 0, stderr);
    return stdout.toString();
  };
  const file = keys.folder.at("rotated_ca_key");
  await ca("init", "-o", file);
  const trusted = keys.folder.at("trusted_by_show");
  const publish = async (): Promise<string> => {
    const shown = await ca("show", "--ca", file);
    await writeFile(trusted, shown);
    return shown;
  };
  await publish();
  await using sshd = await startSshd({ config: [`TrustedUserCAKeys ${trusted}`, "AuthorizedKeysFile none"] });
  await using own = await startWorld({
    rules: (parts) => [
      keyRule(parts, "rotated", {
        upstream: upstreamTo(
          { ...parts, sshd },
          { user: world.user.name, credentials: [{ kind: "certificate", ca: file }] },
        ),
      }),
    ],
  });
  const enter = async (): Promise<void> => {
    const { code, stderr } = await runSsh(own.gateway.target("rotated", own.identity.path), ["true"]);
    assert.equal(code, 0, stderr);
  };
  const usedAuthorities = (): unknown[] =>
    own.gateway.events("certificate-issued").map(({ ca: used }) => used);
  await enter();
  await ca("rotate", "--ca", file);
  assert.equal((await publish()).match(/^ssh-ed25519 /gm)?.length, 2);
  await enter();
  own.gateway.signal("SIGHUP");
  await own.gateway.waitForLog("reload", ({ event }) => event === "reloaded");
  await enter();
  await ca("rotate", "--ca", file, "--finish");
  assert.equal((await publish()).match(/^ssh-ed25519 /gm)?.length, 1);
  await enter();
  const [first, second, third, fourth] = usedAuthorities();
  assert.equal(first, second, "until the reload the old key certifies");
  assert.notEqual(second, third);
  assert.equal(third, fourth);
});

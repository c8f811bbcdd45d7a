/** How the gateway logs in behind: a key in an ssh-agent, nothing at all. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { appendFile, readFile } from "node:fs/promises";
import { type Agent, startAgent } from "#test/support/agent";
import { succeed } from "#test/support/child";
import { type FakeAgent, fakeAgent } from "#test/support/fake-agent";
import { postern } from "#test/support/gateway";
import { runSsh } from "#test/support/ssh";
import { type Sshd, startSshd } from "#test/support/sshd";
import { missing } from "#test/support/strangers";
import { bareKey, certify, type KeyFiles, keyKinds } from "#test/support/test-keys";
import { needsRoot } from "#test/support/test-user";
import { keyRule, startWorld, upstreamTo, type World } from "#test/support/world";

const skip = missing("ssh", "sshd");
let world: World;
let agent: Agent;
let silent: FakeAgent;
let open: Sshd;
let [unlisted, certified, stranger]: KeyFiles[] = [];

const line = (key: KeyFiles | undefined): string => key?.publicLine ?? "";
const upstreamKeys = (): KeyFiles[] => keyKinds.map((kind) => world.keys.key(kind, "upstream"));

before(async () => {
  if (skip !== false) return;
  world = await startWorld({ rules: () => [] });
  const { keys, sshd, gateway, user } = world;
  unlisted = keys.key("ed25519", "unlisted");
  certified = keys.key("ed25519", "certified");
  stranger = keys.key("ed25519", "stranger");
  const authority = keys.key("ed25519", "authority");
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
  const rule = (name: string, ...credentials: readonly object[]): object =>
    keyRule(world, name, { upstream: upstreamTo(world, { credentials }) });
  const held = (key: string, socket = agent.socket): object => ({ kind: "agent", socket, key });
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
  ];
  await gateway.rewrite(rules as never);
  gateway.signal("SIGHUP");
  await gateway.waitForLog("reload", ({ event }) => event === "reloaded");
});
after(async () => {
  await agent?.[Symbol.asyncDispose]();
  await silent?.[Symbol.asyncDispose]();
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
  const base = { kind: "agent", key: key?.fingerprint };
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

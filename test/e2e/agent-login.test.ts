/** `kind: agent`: the agent that the client forwards signs for the upstream, and no secret is on the gateway. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { type Agent, startAgent } from "#test/support/agent";
import { run, succeed } from "#test/support/child";
import { startListener } from "#test/support/echo-server";
import {
  failureReply,
  type FakeAgent,
  fakeAgent,
  type FakeAgentAnswer,
  framedReply,
  listReply,
} from "#test/support/fake-agent";
import { freePort } from "#test/support/ports";
import { runSsh, spawnSsh, sshPlace, type SshOptions, sshSettings, type SshTarget } from "#test/support/ssh";
import { missing } from "#test/support/strangers";
import { until } from "#test/support/waiting";
import { bareKey } from "#test/support/test-keys";
import { keyLogin, keyRule, startWorld, upstreamTo, type World } from "#test/support/world";
import { Writer } from "#ssh/wire";

const skip = missing("ssh", "sshd");
let world: World;
let agent: Agent;

before(async () => {
  if (skip !== false) return;
  world = await startWorld({
    config: { audit: [{ kind: "jsonl", file: "audit.jsonl" }] },
    rules: (parts) => {
      const other = parts.keys.key("ed25519", "other");
      const rule = (name: string, credentials: readonly object[], more: object = {}): object =>
        keyRule(parts, name, {
          login: [keyLogin(parts.identity, other)],
          upstream: upstreamTo(parts, { credentials }),
          ...more,
        });
      const byAgent = { kind: "agent", waitSeconds: 3, timeoutSeconds: 2 };
      return [
        rule("agent", [byAgent]),
        rule("patient", [{ kind: "agent" }]),
        rule("either", [byAgent, { kind: "key", file: parts.gatewayKey.path }]),
        rule("rooted", [byAgent], { sftp: { root: parts.user.home, record: true } }),
        rule("recorded", [byAgent], { sftp: { record: true } }),
        rule("closed", [byAgent], { policy: { exec: true } }),
        rule("open", [byAgent], { policy: { exec: true, agent: true } }),
        rule("nobody", [byAgent], {
          upstream: { ...upstreamTo(parts, { credentials: [byAgent] }), addresses: ["127.0.0.1:1"] },
        }),
      ] as never;
    },
  });
  agent = await startAgent([world.identity.path]);
});
after(async () => {
  await agent?.[Symbol.asyncDispose]();
  await world?.[Symbol.asyncDispose]();
});

const target = (user: string, socket: string | undefined = agent.socket): SshTarget => ({
  ...world.gateway.target(user, world.identity.path),
  ...(socket === undefined ? {} : { forwardAgent: socket }),
});
const without = (user: string): SshTarget => world.gateway.target(user, world.identity.path);

/** Runs a command that must fail with status 255, and nothing on stdout; returns what the person sees. */
async function told(where: SshTarget, options: SshOptions = {}): Promise<string> {
  const { code, stdout, stderr } = await runSsh(where, ["echo entered"], { deadlineMs: 30_000, ...options });
  assert.deepEqual([code, stdout.toString()], [255, ""], stderr);
  return stderr;
}

test("no secret is on the gateway: it has a rule, host keys, and nothing that the upstream would take", {
  skip,
}, async () => {
  const { stdout, stderr, code } = await runSsh(target("agent"), ["id -un; exit 3"]);
  assert.deepEqual([code, stdout.toString(), stderr], [3, `${world.user.name}\n`, ""]);
  const config = JSON.parse(await readFile(world.gateway.configFile, "utf8")) as {
    rules: { name: string }[];
  };
  const rule = JSON.stringify(config.rules.find(({ name }) => name === "agent"));
  assert.ok(!rule.includes("file") && !rule.includes("password"), rule);
  const entered = world.sshd.child.stderr.match(/Accepted publickey for \S+ .* (SHA256:\S+)/g)?.at(-1) ?? "";
  assert.ok(entered.includes(world.identity.fingerprint), entered);
  // The gateway's own key, which other rules have, was not used: take the client's away, and the door is shut.
  await using empty = await startAgent([world.keys.key("ed25519", "other").path]);
  assert.match(await told(target("agent", empty.socket)), /takes none of the keys that your agent offered/);
});

test("without an agent the person is told what to add", { skip }, async () => {
  assert.match(await told(without("agent")), /ssh -A.*ForwardAgent yes/);
  for (const program of ["sftp", "scp"]) {
    const place = `${sshPlace(without("agent"))}:/etc/passwd`;
    const outcome = await run(program, [
      ...sshSettings(without("agent")),
      "-P",
      String(world.gateway.port),
      place,
      ...(program === "scp" ? ["/dev/null"] : []),
    ]);
    assert.notEqual(outcome.code, 0);
    assert.match(outcome.stderr, /ssh -A.*ForwardAgent yes/, program);
  }
});

test("without an agent the rule's next credential is used", { skip }, async () => {
  const { stdout } = await runSsh(without("either"), ["id -un"]);
  assert.equal(stdout.toString(), `${world.user.name}\n`);
});

test("-N -L opens no session: told so, in time", { skip }, async () => {
  const port = await freePort();
  const { code, stderr } = await runSsh(target("agent"), [], {
    flags: ["-N", "-L", `127.0.0.1:${port}:127.0.0.1:1`],
    deadlineMs: 30_000,
  });
  assert.equal(code, 255);
  assert.match(stderr, /without `-N`/);
});

test("with a session, -L, -R and -D work", { skip }, async () => {
  await using echo = await startListener((socket) => socket.end("echo\n"));
  const [local, remote] = [await freePort(), await freePort()];
  const { stdout, stderr, code } = await runSsh(
    target("agent"),
    [`exec 3<>/dev/tcp/127.0.0.1/${remote}; cat <&3`].map((script) => `bash -c '${script}'`),
    {
      flags: [
        "-L",
        `127.0.0.1:${local}:127.0.0.1:${echo.port}`,
        "-R",
        `127.0.0.1:${remote}:127.0.0.1:${echo.port}`,
      ],
      options: ["ExitOnForwardFailure=yes"],
    },
  );
  assert.deepEqual([code, stdout.toString()], [0, "echo\n"], stderr);
});

test("the upstream cannot be reached: told in the session", { skip }, async () => {
  assert.match(await told(target("nobody")), /cannot be reached/);
});

/** An agent that behaves until its client forwards it: ssh says so to it, and what follows is the gateway's. */
async function misbehaving(answer: (payload: Uint8Array) => FakeAgentAnswer): Promise<FakeAgent> {
  let forwarded = false;
  return await fakeAgent((payload) => {
    if (forwarded) return answer(payload);
    if (payload[0] !== 27) return listReply();
    forwarded = payload.at(-1) === 1;
    return failureReply;
  });
}

test("agents that do not do their part end in words, and in time", { skip }, async () => {
  const { keys } = world;
  const blob = Buffer.from(bareKey(world.identity.publicLine).split(" ")[1] ?? "", "base64");
  const stranger = Buffer.from(
    bareKey(keys.key("ed25519", "stranger").publicLine).split(" ")[1] ?? "",
    "base64",
  );
  const listing = (payload: Uint8Array, then: FakeAgentAnswer): FakeAgentAnswer => {
    if (payload[0] === 27) return failureReply;
    return payload[0] === 11 ? listReply([blob, "mine"]) : then;
  };
  const many = new Writer().u8(12).u32(10_000);
  for (let at = 0; at < 10_000; at++) many.string(blob).string("x");
  const cases: readonly (readonly [string, (payload: Uint8Array) => FakeAgentAnswer, RegExp])[] = [
    ["nonsense", () => framedReply(Buffer.from("nonsense")), /makes no sense/],
    ["no framing", () => Buffer.from("HTTP/1.1 400 Bad Request\r\n\r\n"), /makes no sense/],
    ["silence", () => "silence", /did not answer in time/],
    ["silence when it is to sign", (payload) => listing(payload, "silence"), /did not answer in time/],
    ["a refusal to list", () => failureReply, /refused to sign/],
    ["a refusal to sign", (payload) => listing(payload, failureReply), /refused to sign/],
    ["an end", () => "close", /ended the conversation|makes no sense|refused/],
    ["no key", (payload) => (payload[0] === 27 ? failureReply : listReply()), /holds no key/],
    [
      "another's signature",
      (payload) => listing(payload, framedReply(new Writer().u8(14).string("signature").bytes())),
      /makes no sense/,
    ],
    [
      "a key that nobody takes",
      (payload) => (payload[0] === 11 ? listReply([stranger, "s"]) : failureReply),
      /takes none of the keys/,
    ],
    [
      "10,000 keys",
      (payload) => (payload[0] === 27 ? failureReply : framedReply(many.bytes())),
      /more than an agent may/,
    ],
  ];
  for (const [what, answer, words] of cases) {
    await using fake = await misbehaving(answer);
    const stderr = await told(target("agent", fake.socket));
    assert.match(stderr, words, what);
  }
  const { stdout } = await runSsh(target("agent"), ["echo others are not disturbed"]);
  assert.equal(stdout.toString(), "others are not disturbed\n");
});

test("20 keys, the right one far behind: the one that the client came in with is tried first", {
  skip,
}, async () => {
  const others = Array.from({ length: 20 }, (_, at) => world.keys.key("ed25519", `many-${at}`).path);
  await using full = await startAgent([...others, world.identity.path]);
  const { stdout, stderr } = await runSsh(target("agent", full.socket), ["id -un"]);
  assert.equal(stdout.toString(), `${world.user.name}\n`, stderr);
});

test("a policy without agent: it signs for the login, and goes no further", { skip }, async () => {
  const command = ['test -S "$SSH_AUTH_SOCK" && echo forwarded || echo not'];
  assert.equal((await runSsh(target("closed"), command)).stdout.toString(), "not\n");
  assert.equal((await runSsh(target("open"), command)).stdout.toString(), "forwarded\n");
});

test("a key that its agent gives to this path alone signs, because the agent is told of both hosts", {
  skip,
}, async () => {
  const { gateway, sshd, keys, identity } = world;
  const named = keys.folder.at("named_hosts");
  const line = (name: string, publicLine: string): string => `${name} ${bareKey(publicLine)}\n`;
  const text =
    line("gate", gateway.hostKeys[0]?.publicLine ?? "") + line("behind", sshd.hostKeys[0]?.publicLine ?? "");
  await succeed("sh", ["-c", `printf '%s' "$LINES" > ${named}`], { env: { LINES: text } });
  const holding = async (...places: readonly string[]): Promise<Agent> => {
    const made = await startAgent([]);
    const flags = ["-H", named, ...places.flatMap((place) => ["-h", place])];
    await succeed("ssh-add", ["-q", ...flags, identity.path], { env: { SSH_AUTH_SOCK: made.socket } });
    return made;
  };
  await using right = await holding("gate", "gate>behind");
  const { stdout, stderr } = await runSsh(target("agent", right.socket), ["id -un"]);
  assert.equal(stdout.toString(), `${world.user.name}\n`, stderr);
  await using wrong = await holding("gate");
  assert.match(await told(target("agent", wrong.socket)), /holds no key|refused to sign|none of the keys/);
});

test("a client that gives up while it waits leaves nothing behind", { skip }, async () => {
  await using fake = await misbehaving(() => "silence");
  await using ssh = spawnSsh(target("patient", fake.socket), ["id"]);
  await until(
    "the gateway's question",
    () => fake.requests.at(-1)?.[0] === 27 && fake.requests.at(-1)?.at(-1) === 0 && fake.requests.length > 2,
  );
  const { session } = await world.gateway.waitForLog(
    "the login",
    ({ event, user }) => event === "auth-success" && user === "patient",
  );
  ssh.kill("SIGKILL");
  await world.gateway.waitForLog(
    "the end",
    (line) => line.event === "session-ended" && line["session"] === session,
  );
});

test("a folder of one's own, and the record, for a host that is entered with the agent", {
  skip,
}, async () => {
  for (const [name, path] of [
    ["rooted", "/"],
    ["recorded", world.user.home],
  ] as const) {
    const where = target(name);
    const brought = randomBytes(3_000_000);
    await writeFile(world.gateway.folder.at("brought"), brought);
    const lines = [
      `put ${world.gateway.folder.at("brought")} ${join(path, `for-${name}`)}`,
      `get ${join(path, `for-${name}`)} ${world.gateway.folder.at(`back-${name}`)}`,
      `ls ${path}`,
      ...(name === "rooted" ? ["-get /../etc/passwd stolen"] : []),
    ];
    const { code, stdout, stderr } = await run(
      "sftp",
      ["-A", ...sshSettings(where), "-P", String(where.port), "-b", "-", sshPlace(where)],
      { stdin: { data: `${lines.join("\n")}\n` }, cwd: world.gateway.folder.path },
    );
    assert.equal(code, 0, stderr);
    assert.match(stdout.toString(), new RegExp(`for-${name}`));
    assert.ok((await readFile(world.gateway.folder.at(`back-${name}`))).equals(brought));
    assert.ok((await readFile(join(world.user.home, `for-${name}`))).equals(brought));
    const copied = await run("scp", [
      "-A",
      ...sshSettings(where),
      "-P",
      String(where.port),
      `${sshPlace(where)}:${join(path, `for-${name}`)}`,
      world.gateway.folder.at(`copied-${name}`),
    ]);
    assert.equal(copied.code, 0, copied.stderr);
    await until("the record", async () =>
      (await readFile(world.gateway.folder.at("audit.jsonl"), "utf8"))
        .split("\n")
        .some(
          (line) => line.includes('"file-close"') && line.includes(`for-${name}`) && line.includes("sha256"),
        ),
    );
  }
  await assert.rejects(readFile(world.gateway.folder.at("stolen")));
  // Without an agent nothing of the host is seen, and it is said why.
  const where = without("rooted");
  const refused = await run(
    "sftp",
    [...sshSettings(where), "-P", String(where.port), "-b", "-", sshPlace(where)],
    {
      stdin: { data: "ls\n" },
    },
  );
  assert.notEqual(refused.code, 0);
  assert.match(refused.stderr, /ssh -A.*ForwardAgent yes/);
});

/** The audit: whole sessions in it, each line of the documented form, and nothing secret anywhere. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { appendFile, readFile, rename, writeFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { auditCommonFields, auditEvents, type AuditRecord } from "#contract";
import { startAgent } from "#test/support/agent";
import { Child } from "#test/support/child";
import { postern, program } from "#test/support/gateway";
import { runSsh } from "#test/support/ssh";
import { missing } from "#test/support/strangers";
import { certify, makeKey } from "#test/support/test-keys";
import { needsRoot } from "#test/support/test-user";
import { until } from "#test/support/waiting";
import { keyLogin, keyRule, startWorld, upstreamTo, type World } from "#test/support/world";

const skip = missing("ssh", "sshd") || needsRoot;

/** Each unlike anything else: where one is found, it leaked. */
const secret = (): string => `marker${randomBytes(9).toString("hex")}`;
const secrets = {
  wrong: secret(),
  local: secret(),
  typed: secret(),
  env: secret(),
  passphrase: secret(),
  setEnv: secret(),
};

let world: World;
let file: string;
before(async () => {
  if (skip !== false) return;
  world = await startWorld({
    sshd: { config: ["PasswordAuthentication yes", "MaxAuthTries 20", "AcceptEnv LC_* SECRET"] },
    config: { log: { level: "trace", format: "json" } },
    rules: () => [],
  });
  const { gateway, keys, sshd } = world;
  file = gateway.folder.at("audit.jsonl");
  const hashed = await postern(["key", "hash"], { stdin: { data: `${secrets.local}\n` } });
  const hash = hashed.stdout.toString().trim();
  assert.match(hash, /^\$/, hashed.stderr);
  const locked = makeKey(gateway.folder.at("locked"), "ed25519", secrets.passphrase);
  await appendFile(sshd.authorizedKeysFile, `${locked.publicLine}\n`);
  const passwordFile = gateway.folder.at("password");
  await writeFile(passwordFile, `${world.user.password}\n`, { mode: 0o600 });
  const authority = keys.key("ed25519", "authority");
  const login = [{ kind: "password", hashes: [hash] }];
  await gateway.rewrite(
    [
      keyRule(world, "key"),
      keyRule(world, "policed", {
        policy: { exec: ["true", "echo *"], env: ["LC_*"], setEnv: { SECRET: secrets.setEnv } },
      }),
      { name: "local", match: { user: "local" }, login, upstream: upstreamTo(world) },
      {
        name: "stored",
        match: { user: "stored" },
        login,
        upstream: upstreamTo(world, {
          credentials: [{ kind: "password", password: `\${file:${passwordFile}}` }],
        }),
      },
      {
        name: "locked",
        match: { user: "locked" },
        login: [keyLogin(world.identity)],
        upstream: upstreamTo(world, {
          credentials: [{ kind: "key", file: locked.path, passphrase: secrets.passphrase }],
        }),
      },
      {
        name: "through",
        match: { user: "through" },
        login: [{ kind: "password", check: "upstream" }],
        upstream: upstreamTo(world, { credentials: [{ kind: "client-password" }] }),
      },
      {
        name: "certified",
        match: { user: "certified" },
        login: [{ kind: "publickey", keys: [`cert-authority ${authority.publicLine}`] }],
        upstream: upstreamTo(world),
      },
    ],
    { audit: [{ kind: "jsonl", file }] },
  );
  gateway.signal("SIGHUP");
  await gateway.waitForLog("reload", ({ event }) => event === "reloaded");
});
after(async () => {
  await world?.[Symbol.asyncDispose]();
});

function records(path: string = file): AuditRecord[] {
  const text = readFileSync(path, "utf8");
  assert.ok(text === "" || text.endsWith("\n"));
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as AuditRecord);
}

/** The lines of the newest ended session of a user. */
async function sessionOf(user: string, was: number): Promise<AuditRecord[]> {
  return await until(`the end of ${user}'s session`, () => {
    const all = records();
    const ends = all.filter((record) => record.event === "end" && record.user === user);
    return ends.length > was && all.filter(({ session }) => session === ends.at(-1)?.session);
  });
}

const ends = (user: string): number =>
  records().filter((record) => record.event === "end" && record.user === user).length;
const target = (user: string): ReturnType<World["gateway"]["target"]> =>
  world.gateway.target(user, world.identity.path);

test("a session from its beginning to its end, under one id", { skip }, async () => {
  const was = ends("key");
  await runSsh(target("key"), ["echo x"]);
  const lines = await sessionOf("key", was);
  const shape = lines.map((record) =>
    [record.event, "outcome" in record ? record.outcome : ""].join(" ").trim(),
  );
  assert.deepEqual(shape.slice(0, 5), [
    "connection",
    "auth accepted",
    "decision",
    "upstream-login entered",
    "channel opened",
  ]);
  assert.equal(shape.at(-1), "end");
  const [, auth, decision] = lines;
  assert.ok(auth?.event === "auth" && decision?.event === "decision");
  assert.match(auth.by ?? "", /^ssh-ed25519 SHA256:/);
  assert.deepEqual([decision.rule, decision.upstreamUser], ["key", world.user.name]);
  const exec = lines.find((record) => record.event === "request" && record.type === "exec");
  assert.ok(exec?.event === "request");
  assert.deepEqual([exec.outcome, exec.command], ["allowed", "echo x"]);
  const end = lines.at(-1);
  assert.ok(end?.event === "end");
  assert.ok(end.bytesFromClient > 1000 && end.bytesToClient > 1000 && end.seconds > 0);
  assert.equal(end.channels, 1);
  const logged = world.gateway.logs().filter((line) => line["session"] === end.session);
  assert.ok(logged.length > 3, "the log has the same id");
});

test("what a policy refuses is told with its reason", { skip }, async () => {
  const was = ends("policed");
  await runSsh(target("policed"), ["rm -rf /"], { flags: ["-A"] });
  await runSsh(target("policed"), [], { flags: ["-W", "localhost:22"] });
  await until("both sessions", () => ends("policed") >= was + 2);
  const refused = records().filter(
    (record) => record.user === "policed" && "outcome" in record && record.outcome === "refused",
  );
  assert.ok(
    refused.some(
      (record) =>
        record.event === "request" &&
        record.command === "rm -rf /" &&
        record.reason === "This command is not allowed here.",
    ),
  );
  assert.ok(
    refused.some(
      (record) =>
        record.event === "channel" && record.type === "direct-tcpip" && record.destination === "localhost:22",
    ),
  );
});

test("wrong proofs, unknown names and upstreams that cannot be entered", { skip }, async () => {
  const stranger = world.keys.key("ed25519", "stranger");
  await runSsh(world.gateway.target("key", stranger.path), ["true"]);
  await runSsh(world.gateway.target("nobody", stranger.path), ["true"]);
  await until("both ends", () => ends("nobody") > 0);
  for (const user of ["key", "nobody"]) {
    const found = records().find(
      (record) => record.event === "auth" && record.user === user && record.outcome === "refused",
    );
    assert.ok(
      found?.event === "auth" && found.key?.startsWith("SHA256:") === true && found.reason !== undefined,
      user,
    );
  }
});

test("no password, key or value is in the audit or in the log, however people log in", { skip }, async () => {
  const { gateway, keys, user, identity, gatewayKey } = world;
  const password = user.password ?? "";
  const ssh = (name: string, options: Parameters<typeof runSsh>[2] = {}): ReturnType<typeof runSsh> =>
    runSsh(target(name), ["cat"], { stdin: { data: `${secrets.typed}\n` }, ...options });
  const passwords = ["PreferredAuthentications=password"];
  const both = ["PreferredAuthentications=password", "NumberOfPasswordPrompts=3"];
  for (const name of ["local", "stored"]) {
    const { code, stderr } = await ssh(name, { passwords: [secrets.wrong, secrets.local], options: both });
    assert.equal(code, 0, stderr);
  }
  assert.equal((await ssh("through", { passwords: [secrets.wrong, password], options: both })).code, 0);
  await ssh("nobody", { passwords: [secrets.wrong], options: passwords });
  await ssh("key", { passwords: [secrets.wrong], options: passwords });
  assert.equal(
    (await ssh("key", { env: { LC_SECRET: secrets.env }, options: ["SendEnv=LC_SECRET"] })).code,
    0,
  );
  assert.equal(
    (
      await runSsh(target("policed"), ["echo x"], {
        env: { LC_SECRET: secrets.env },
        options: ["SendEnv=LC_SECRET"],
      })
    ).code,
    0,
  );
  assert.equal((await ssh("locked")).code, 0);
  const holder = keys.key("ed25519", "holder");
  const certificate = certify(keys.key("ed25519", "authority"), holder, { principals: ["certified"] });
  assert.equal(
    (
      await runSsh(gateway.target("certified", holder.path), ["true"], {
        options: [`CertificateFile=${certificate}`],
      })
    ).code,
    0,
  );
  await using agent = await startAgent([identity.path]);
  await ssh("key", { options: [`IdentityAgent=${agent.socket}`, "IdentitiesOnly=no"] });
  const open = (): number =>
    records().filter(({ event }) => event === "connection").length -
    records().filter(({ event }) => event === "end").length;
  await until("the ends", () => open() === 0);

  const body = (path: string): string[] =>
    readFileSync(path, "utf8")
      .split("\n")
      .filter((line) => /^[A-Za-z0-9+/=]{40,}$/.test(line));
  const blob = (line: string): string => line.split(" ")[1] ?? "";
  const material = [
    ...Object.values(secrets),
    password,
    ...[identity, gatewayKey, holder, ...gateway.hostKeys].flatMap(({ path, publicLine }) => [
      ...body(path),
      blob(publicLine),
    ]),
    readFileSync(certificate, "utf8").split(" ")[1] ?? "",
  ];
  const said = {
    audit: await readFile(file, "utf8"),
    stdout: gateway.child.stdout.toString(),
    stderr: gateway.child.stderr,
    lines: (await postern(["audit", file])).stdout.toString(),
  };
  assert.ok(said.audit.length > 5000 && said.stderr.length + said.stdout.length > 5000);
  for (const text of material) {
    assert.ok(text.length >= 8);
    for (const form of [
      text,
      Buffer.from(text).toString("base64").replaceAll("=", ""),
      Buffer.from(text).toString("hex"),
    ])
      for (const [where, all] of Object.entries(said))
        assert.ok(!all.includes(form), `${where} holds ${text}`);
  }
  assert.ok(said.audit.includes('"name":"LC_SECRET"'), "the names are told");
});

test("every line is of the documented form", { skip }, () => {
  const all = records();
  assert.ok(all.length > 20);
  for (const record of all) {
    const fields = { ...auditCommonFields, ...auditEvents[record.event].fields };
    for (const [name, value] of Object.entries(record)) {
      const row = fields[name];
      assert.ok(row, `${record.event}.${name} is not documented`);
      if (row.oneOf !== undefined)
        assert.ok(row.oneOf.includes(value as string), `${name}: ${String(value)}`);
      assert.equal(
        Array.isArray(value) ? "list" : typeof value === "string" ? "text" : typeof value,
        row.type,
        name,
      );
    }
    for (const [name, row] of Object.entries(fields))
      assert.ok(row.optional === true || name in record, `${record.event}.${name} is missing`);
  }
});

test("postern audit filters, and follows across a rotation", { skip }, async () => {
  const { gateway } = world;
  const one = records().find((record) => record.event === "end" && record.user === "key");
  assert.ok(one);
  const shown = await postern(["audit", "-c", gateway.configFile, "--session", one.session, "--json"]);
  const lines = shown.stdout.toString().trim().split("\n");
  assert.deepEqual(
    lines.map((line) => (JSON.parse(line) as AuditRecord).session),
    records()
      .filter(({ session }) => session === one.session)
      .map(({ session }) => session),
  );
  const refused = (
    await postern(["audit", file, "--user", "policed", "--refused", "--event", "request"])
  ).stdout.toString();
  assert.match(refused, /request user=policed .*command="rm -rf \/"/);
  assert.equal((await postern(["audit", file, "--since", "2100-01-01"])).stdout.toString(), "");
  assert.equal((await postern(["audit", gateway.folder.at("missing")])).code, 1);

  await using follower = new Child(process.execPath, [
    program,
    "audit",
    file,
    "--follow",
    "--event",
    "connection",
    "--json",
  ]);
  const seen = (): number => follower.stdout.toString().split("\n").length - 1;
  const before = records().filter(({ event }) => event === "connection").length;
  await follower.waitFor("what is there", () => seen() === before);
  await rename(file, `${file}.1`);
  gateway.signal("SIGUSR1");
  await gateway.waitForLog("reopened", ({ event }) => event === "log-reopened");
  await runSsh(target("key"), ["true"]);
  await follower.waitFor("one more", () => seen() === before + 1);
  assert.ok(records().length > 0, "the new file has the new session");
});

/** Nothing secret in audit or log, however people prove who they are: what audit.test.ts shows of passwords and keys, for the rest. */
import assert from "node:assert/strict";
import { readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { hashSync } from "bcryptjs";
import { base32, codeAt } from "#auth";
import { Secret } from "#base";
import type { AuditRecord, TotpSecret } from "#contract";
import { randomBytes } from "node:crypto";
import { auditLines } from "#test/support/audit-lines";
import { startAgent } from "#test/support/agent";
import { postern } from "#test/support/gateway";
import { runSsh, type SshOptions } from "#test/support/ssh";
import { type Sshd, startSshd } from "#test/support/sshd";
import { missing, stranger } from "#test/support/strangers";
import { needsRoot } from "#test/support/test-user";
import type { KeyFiles } from "#test/support/test-keys";
import { until } from "#test/support/waiting";
import { keyLogin, keyRule, startWorld, upstreamTo, type World } from "#test/support/world";

const service = `postern-test-secrets-${process.pid}`;
const skip = missing("ssh", "sshd") || needsRoot;

/** Each unlike anything else: where one is found, it leaked. */
const marker = (): string => `marker${randomBytes(9).toString("hex")}`;
const secrets = { filed: marker(), htpasswd: marker(), wrong: marker(), typed: marker() };
const totp: TotpSecret = { secret: new Secret(randomBytes(20)), digits: 8, algorithm: "sha1" };

let world: World;
let pam: Sshd;
let audit: string;
let authority: KeyFiles;
let hashes: string[] = [];

before(async () => {
  if (skip !== false) return;
  world = await startWorld({ config: { log: { level: "trace", format: "json" } }, rules: () => [] });
  const { gateway, keys, identity } = world;
  audit = gateway.folder.at("audit.jsonl");
  writeFileSync(
    `/etc/pam.d/${service}`,
    ["auth", "account"].map((kind) => `${kind} required pam_unix.so\n`).join("") +
      "session required pam_permit.so\n",
  );
  const program = keys.folder.at(service);
  symlinkSync(stranger("sshd"), program);
  authority = keys.key("ed25519", "authority");
  const trusted = keys.folder.at("trusted_ca");
  await writeFile(trusted, `${authority.publicLine}\n`);
  pam = await startSshd({
    program,
    hostKeyFiles: world.sshd.hostKeys,
    authorizedKeys: [identity.publicLine],
    config: [
      "UsePAM yes",
      "KbdInteractiveAuthentication yes",
      "PasswordAuthentication yes",
      `TrustedUserCAKeys ${trusted}`,
    ],
  });
  const hashed = await postern(["key", "hash"], { stdin: { data: `${secrets.filed}\n` } });
  hashes = [hashed.stdout.toString().trim(), hashSync(secrets.htpasswd, 4)];
  const [filed = "", htpasswd = ""] = hashes;
  const users = gateway.folder.at("users.yaml");
  const people = { filed: { passwords: [filed] }, twofold: { totp: { ...totp, secret: base32(totp) } } };
  await writeFile(users, JSON.stringify({ people }), { mode: 0o600 });
  await writeFile(gateway.folder.at("htpasswd"), `apache:${htpasswd}\n`, { mode: 0o600 });
  const to = upstreamTo({ ...world, sshd: pam });
  const rule = (name: string, login: object, credential: object): object => ({
    name,
    match: { user: name },
    login: [login],
    upstream: { ...to, credentials: [credential] },
  });
  const byUsers = { kind: "password", users: {}, methods: ["password", "keyboard-interactive"] };
  const stored = { kind: "key", file: identity.path };
  await gateway.rewrite(
    [
      keyRule(world, "twofold", {
        login: [keyLogin(identity), { kind: "totp" }],
        require: ["publickey", "totp"],
      }),
      rule("filed", byUsers, stored),
      rule("apache", byUsers, stored),
      rule("relayed", { kind: "relay" }, { kind: "relay" }),
      rule("forwarded", keyLogin(identity), { kind: "agent" }),
      rule("certified", keyLogin(identity), {
        kind: "certificate",
        ca: authority.path,
        principals: [world.user.name],
      }),
    ] as never,
    {
      users: { file: users, htpasswd: gateway.folder.at("htpasswd") },
      audit: [{ kind: "jsonl", file: audit }],
    },
  );
  gateway.signal("SIGHUP");
  await gateway.waitForLog("reload", ({ event }) => event === "reloaded");
});
after(async () => {
  rmSync(`/etc/pam.d/${service}`, { force: true });
  await pam?.[Symbol.asyncDispose]();
  await world?.[Symbol.asyncDispose]();
});

const records = (): AuditRecord[] => auditLines(audit);

test("codes, users' hashes, what is relayed, the forwarded agent, the CA: all logged, and no secret", {
  skip,
}, async () => {
  const { gateway, identity, user } = world;
  const password = user.password ?? "";
  const ssh = async (name: string, options: SshOptions): Promise<void> => {
    const stdin = { data: `${secrets.typed}\n` };
    const target = gateway.target(name, options.passwords === undefined ? identity.path : undefined);
    const { code, stderr, stdout } = await runSsh(target, ["cat"], { stdin, ...options });
    assert.deepEqual([code, stdout.toString()], [0, `${secrets.typed}\n`], `${name}: ${stderr}`);
  };
  const methods = (method: string): readonly string[] => [
    `PreferredAuthentications=${method}`,
    "NumberOfPasswordPrompts=3",
  ];
  for (const method of ["password", "keyboard-interactive"]) {
    const options = methods(method);
    await ssh("filed", { passwords: [secrets.wrong, secrets.filed], options });
    await ssh("apache", { passwords: [secrets.wrong, secrets.htpasswd], options });
    await ssh("relayed", { passwords: [secrets.wrong, password], options });
  }
  const codes = ["31415926", codeAt(totp, Date.now())];
  const key = [`IdentityFile=${identity.path}`, "NumberOfPasswordPrompts=3"];
  await ssh("twofold", { passwords: codes, options: key });
  await using agent = await startAgent([identity.path]);
  await ssh("forwarded", { options: [`IdentityAgent=${agent.socket}`, "ForwardAgent=yes"] });
  await ssh("certified", {});
  const many = (event: AuditRecord["event"]): number =>
    records().filter((record) => record.event === event).length;
  await until("the ends", () => many("connection") === many("end") && many("end") === 9);

  const material = [
    ...Object.values(secrets),
    ...hashes,
    password,
    base32(totp),
    ...[identity, authority].flatMap(({ path }) =>
      readFileSync(path, "utf8")
        .split("\n")
        .filter((line) => /^[A-Za-z0-9+/=]{40,}$/.test(line)),
    ),
  ];
  const { child } = gateway;
  const said = {
    audit: readFileSync(audit, "utf8"),
    log: child.stdout.toString() + child.stderr,
    lines: (await postern(["audit", audit])).stdout.toString(),
  };
  for (const [where, all] of Object.entries(said)) {
    assert.ok(all.length > 5000, where);
    for (const text of material)
      for (const form of [
        text,
        JSON.stringify(text).slice(1, -1),
        Buffer.from(text).toString("base64").replaceAll("=", ""),
        Buffer.from(text).toString("hex"),
      ])
        assert.ok(form.length >= 8 && !all.includes(form), `${where} holds ${text}`);
    // Short, and digits: part of a longer number it is none.
    for (const code of codes) assert.doesNotMatch(all, new RegExp(`(?<![0-9])${code}(?![0-9])`), where);
  }
  const accepted = records().filter((record) => record.event === "auth" && record.outcome === "accepted");
  assert.equal(accepted.length, 9, "each login is told");
});

/** Passwords: passed to the upstream, checked by the gateway, stored for the upstream. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { writeFile } from "node:fs/promises";
import { runSsh } from "#test/support/ssh";
import { startSshd, type Sshd } from "#test/support/sshd";
import { missing } from "#test/support/strangers";
import { needsRoot } from "#test/support/test-user";
import { startWorld, upstreamTo, type World } from "#test/support/world";

/** Hashes that others made, and the passwords behind them. */
const hashes = [
  // RFC 7914, section 12
  [
    "scrypt",
    "pleaseletmein",
    "$scrypt$ln=14,r=8,p=1$U29kaXVtQ2hsb3JpZGU$cCO9yzr9c0hGHAbNgf046/2o+7qQT44+qbVD9lRdofLVQylVYT8Pz2LUlwUkKpr55h6F3A1lHkDfzwF7RVdYhw",
  ],
  // The test of Argon2's reference implementation
  [
    "argon2id",
    "password",
    "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
  ],
  ["bcrypt", "U*U", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"],
] as const;

const skip = missing("ssh", "sshd");
const noPassword = skip || needsRoot;
let world: World;
let strict: Sshd;
let pam: Sshd;
before(async () => {
  if (skip !== false) return;
  world = await startWorld({
    sshd: { config: ["PasswordAuthentication yes", "MaxAuthTries 20"] },
    config: { log: { level: "trace", format: "json" } },
  });
  const authorizedKeys = [world.gatewayKey.publicLine];
  strict = await startSshd({
    authorizedKeys,
    config: ["PasswordAuthentication yes", "AuthenticationMethods publickey,password"],
  });
  pam = await startSshd({
    config: ["UsePAM yes", "KbdInteractiveAuthentication yes", "PubkeyAuthentication no"],
  });
  const file = world.gateway.folder.at("password");
  await writeFile(file, `${world.user.password}\n`, { mode: 0o600 });
  const through = { login: [{ kind: "password", check: "upstream" }] };
  const client = [{ kind: "client-password" }];
  const checked = { login: [{ kind: "password", hashes: hashes.map(([, , hash]) => hash) }] };
  const key = { kind: "key", file: world.gatewayKey.path };
  await world.gateway.rewrite([
    {
      name: "through",
      match: { user: "through" },
      ...through,
      upstream: upstreamTo(world, { credentials: client }),
    },
    { name: "checked", match: { user: "checked" }, ...checked, upstream: upstreamTo(world) },
    {
      name: "stored",
      match: { user: "stored" },
      ...checked,
      upstream: upstreamTo(world, { credentials: [{ kind: "password", password: `\${file:${file}}` }] }),
    },
    {
      name: "second-works",
      match: { user: "second-works" },
      ...checked,
      upstream: upstreamTo(world, {
        credentials: [{ kind: "password", password: "not the upstream's" }, key],
      }),
    },
    {
      name: "both",
      match: { user: "both" },
      ...through,
      upstream: upstreamTo({ ...world, sshd: strict }, { credentials: [key, ...client] }),
    },
    {
      name: "pam",
      match: { user: "pam" },
      ...through,
      upstream: upstreamTo({ ...world, sshd: pam }, { credentials: client }),
    },
  ]);
  world.gateway.signal("SIGHUP");
  await world.gateway.waitForLog("reload", ({ event }) => event === "reloaded");
});
after(async () => {
  await pam?.[Symbol.asyncDispose]();
  await strict?.[Symbol.asyncDispose]();
  await world?.[Symbol.asyncDispose]();
});

const login = (user: string, passwords: readonly (string | undefined)[], options: readonly string[] = []) =>
  runSsh(world.gateway.target(user), ["id -un"], {
    passwords: passwords.map((password) => password ?? ""),
    options: [...options, `NumberOfPasswordPrompts=${passwords.length}`],
  });

for (const user of ["through", "both", "pam"]) {
  test(`the client's password goes to the upstream: rule ${user}`, { skip: noPassword }, async () => {
    const { code, stdout, stderr } = await login(user, [world.user.password]);
    assert.equal(code, 0, stderr);
    assert.equal(stdout.toString(), `${world.user.name}\n`);
  });

  test(`a password that the upstream refuses is refused, and may be tried again: rule ${user}`, {
    skip: noPassword,
  }, async () => {
    const refused = await login(user, ["not it"]);
    assert.equal(refused.code, 255);
    assert.match(refused.stderr, /Permission denied \(/);
    const { code, stdout, stderr } = await login(user, ["not it", world.user.password]);
    assert.equal(code, 0, stderr);
    assert.equal(stdout.toString(), `${world.user.name}\n`);
  });
}

for (const [scheme, password] of hashes) {
  test(`the gateway checks a password by its ${scheme} hash`, { skip }, async () => {
    const { code, stdout, stderr } = await login("checked", [password]);
    assert.equal(code, 0, stderr);
    assert.equal(stdout.toString(), `${world.user.name}\n`);
    const wrong = await login("checked", [`${password}x`]);
    assert.equal(wrong.code, 255);
    assert.match(wrong.stderr, /Permission denied/);
  });
}

test("a stored password enters the upstream, the client's own never reaches it", {
  skip: noPassword,
}, async () => {
  const { code, stdout, stderr } = await login("stored", ["password"]);
  assert.equal(code, 0, stderr);
  assert.equal(stdout.toString(), `${world.user.name}\n`);
  const upstreams = await login("stored", [world.user.password]);
  assert.equal(upstreams.code, 255, "the upstream's password opened the gateway");
});

test("when the first credential is refused, the next one is tried", { skip }, async () => {
  const { code, stderr } = await login("second-works", ["password"]);
  assert.equal(code, 0, stderr);
});

test("an empty password is refused", { skip }, async () => {
  for (const user of ["through", "checked"]) assert.equal((await login(user, [""])).code, 255);
});

test("no password is in the log, at the most talkative level", { skip }, () => {
  const { stderr } = world.gateway.child;
  for (const secret of [world.user.password ?? "?", "pleaseletmein", "not the upstream's", "not it"]) {
    assert.ok(!stderr.includes(secret), `the log holds ${secret}`);
  }
});

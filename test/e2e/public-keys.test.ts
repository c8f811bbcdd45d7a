/** Public keys: in a list, in a file, with options; and the gateway's own keys for the upstream. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { appendFile, mkdir, writeFile } from "node:fs/promises";
import { startAgent } from "#test/support/agent";
import { runSsh } from "#test/support/ssh";
import { missing } from "#test/support/strangers";
import { bareKey, certify, keyKinds, makeKey } from "#test/support/test-keys";
import { keyLogin, startWorld, upstreamTo, type World } from "#test/support/world";

const skip = missing("ssh", "sshd");
const passphrase = "open sesame";
let world: World;
let folder: string;
before(async () => {
  if (skip !== false) return;
  world = await startWorld({ env: { KEY_PASSPHRASE: passphrase }, rules: () => [] });
  const { keys, gateway } = world;
  folder = gateway.folder.at("keys");
  await mkdir(folder);
  const locked = makeKey(gateway.folder.at("locked"), "ed25519", passphrase);
  await appendFile(world.sshd.authorizedKeysFile, `${locked.publicLine}\n`);
  const upstreamKeys = keyKinds.map((kind) => keys.key(kind, "upstream"));
  for (const key of upstreamKeys) await appendFile(world.sshd.authorizedKeysFile, `${key.publicLine}\n`);
  const rule = (name: string, login: object, upstream: object = {}): Record<string, unknown> => ({
    name,
    match: { user: name },
    login: [login],
    upstream: upstreamTo(world, { ...upstream }),
  });
  const listed = keyLogin(world.identity);
  await gateway.rewrite([
    rule("listed", keyLogin(...keyKinds.map((kind) => keys.key(kind, "client")))),
    ...keyKinds.map((kind) =>
      rule(`upstream-${kind}`, listed, {
        credentials: [{ kind: "key", file: keys.key(kind, "upstream").path }],
      }),
    ),
    rule("locked", listed, {
      credentials: [{ kind: "key", file: locked.path, passphrase: "${env:KEY_PASSPHRASE}" }],
    }),
    {
      name: "filed",
      match: { userPattern: "^filed-[a-z]+$" },
      login: [{ kind: "publickey", files: [`${folder}/{user}`] }],
      upstream: upstreamTo(world),
    },
  ]);
  gateway.signal("SIGHUP");
  await gateway.waitForLog("reload", ({ event }) => event === "reloaded");
});
after(async () => {
  await world?.[Symbol.asyncDispose]();
});

const login = (user: string, identity: string, options: readonly string[] = []) =>
  runSsh(world.gateway.target(user, identity), ["echo in"], { options });

async function admits(user: string, identity: string, options?: readonly string[]): Promise<void> {
  const { code, stdout, stderr } = await login(user, identity, options);
  assert.equal(code, 0, stderr);
  assert.equal(stdout.toString(), "in\n");
}

async function refuses(user: string, identity: string, options?: readonly string[]): Promise<void> {
  const { code, stderr } = await login(user, identity, options);
  assert.equal(code, 255);
  assert.match(stderr, /Permission denied \(/);
}

for (const kind of keyKinds) {
  test(`an ${kind} key of the list logs in`, { skip }, () =>
    admits("listed", world.keys.key(kind, "client").path),
  );

  test(`the gateway enters the upstream with an ${kind} key`, { skip }, () =>
    admits(`upstream-${kind}`, world.identity.path),
  );
}

test("a key that is not in the list is refused", { skip }, () =>
  refuses("listed", world.keys.key("ed25519", "stranger").path),
);

test("the right key is found after wrong ones, as an agent offers them", { skip }, async () => {
  const wrong = ["a", "b", "c", "d", "e", "f", "g", "h"].map((name) => world.keys.key("ed25519", name).path);
  await using agent = await startAgent([...wrong, world.identity.path]);
  const { code, stderr } = await runSsh(world.gateway.target("listed"), ["true"], {
    options: [`IdentityAgent=${agent.socket}`, "IdentitiesOnly=no"],
    env: { SSH_AUTH_SOCK: agent.socket },
  });
  assert.equal(code, 0, stderr);
});

test("a stored key with a passphrase opens by the environment's secret", { skip }, () =>
  admits("locked", world.identity.path),
);

test("a file of keys is found by the user's name, and read at each login", { skip }, async () => {
  const { keys } = world;
  const [one, two] = [keys.key("ed25519", "one"), keys.key("ecdsa-256", "two")];
  await refuses("filed-a", one.path);
  await writeFile(`${folder}/filed-a`, `# people\n\n${one.publicLine}\n`);
  await admits("filed-a", one.path);
  await refuses("filed-a", two.path);
  await refuses("filed-b", one.path);
  await appendFile(`${folder}/filed-a`, `${two.publicLine}\n`);
  await admits("filed-a", two.path);
});

test("options of authorized_keys: from and expiry-time", { skip }, async () => {
  const key = world.keys.key("ed25519", "options");
  const cases = [
    ['from="127.0.0.0/8"', true],
    ['from="10.0.0.0/8"', false],
    ['from="!127.0.0.1,*"', false],
    ['expiry-time="20200101"', false],
    ['expiry-time="29990101"', true],
  ] as const;
  for (const [option, admitted] of cases) {
    await writeFile(`${folder}/filed-options`, `${option} ${key.publicLine}\n`);
    await (admitted ? admits : refuses)("filed-options", key.path);
  }
});

test("cert-authority: a certificate logs in as its principals, in its time, and no other way", {
  skip,
}, async () => {
  const { keys } = world;
  const authority = keys.key("ed25519", "authority");
  await writeFile(`${folder}/filed-cert`, `cert-authority ${authority.publicLine}\n`);
  await refuses("filed-cert", authority.path);
  const cases = [
    ["good", ["filed-cert"], [], true],
    ["other", ["somebody"], [], false],
    ["old", ["filed-cert"], ["-V", "20200101:20210101"], false],
    ["elsewhere", ["filed-cert"], ["-O", "source-address=10.0.0.0/8"], false],
    ["here", ["filed-cert"], ["-O", "source-address=127.0.0.0/8"], true],
    ["unknown", ["filed-cert"], ["-O", "critical:strange@example.org=1"], false],
  ] as const;
  for (const [name, principals, more, admitted] of cases) {
    const key = keys.key("ed25519", `holder-${name}`);
    const certificate = certify(authority, key, { principals, more });
    await (admitted ? admits : refuses)("filed-cert", key.path, [`CertificateFile=${certificate}`]);
  }
  const host = keys.key("ed25519", "holder-host");
  const certificate = certify(authority, host, { principals: ["filed-cert"], host: true });
  await refuses("filed-cert", host.path, [`CertificateFile=${certificate}`]);
});

test("a file that cannot be understood keeps people out, not the gateway down", { skip }, async () => {
  const { identity, gateway } = world;
  const lines = [
    "\0\0\0",
    `nonsense="1" ${identity.publicLine}`,
    "ssh-ed25519 AAAA",
    bareKey(identity.publicLine),
  ];
  for (const line of lines.slice(0, 3)) {
    await writeFile(`${folder}/filed-bad`, `${line}\n`);
    await refuses("filed-bad", identity.path);
  }
  await writeFile(`${folder}/filed-bad`, `${lines.join("\n")}\n`);
  await admits("filed-bad", identity.path);
  assert.ok(gateway.child.running);
});

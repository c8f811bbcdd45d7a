/** Security keys, as docs/hardware-keys.md says: by stock ssh, with a key that is software and does all that a real one does. */
import assert from "node:assert/strict";
import { appendFile, mkdir, writeFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { startAgent } from "#test/support/agent";
import {
  type SecurityKey,
  securityKey,
  securityKeyKinds,
  securityPin,
  untouched,
  unverified,
} from "#test/support/security-key";
import { runSsh, type SshOptions } from "#test/support/ssh";
import { missing } from "#test/support/strangers";
import { certify, type KeyFiles } from "#test/support/test-keys";
import { startWorld, upstreamTo, type World } from "#test/support/world";

const skip = missing("ssh", "sshd", "cc", "openssl");
let world: World;
let token: SecurityKey;
let folder: string;
/** One that asks for a touch, one that asks for the PIN too, one that asks for neither. */
let touch: KeyFiles;
let pin: KeyFiles;
let neither: KeyFiles;

before(async () => {
  if (skip !== false) return;
  token = await securityKey();
  touch = token.key("touch");
  pin = token.key("pin", "ed25519-sk", ["verify-required"]);
  neither = token.key("neither", "ecdsa-sk", ["no-touch-required"]);
  world = await startWorld({ rules: () => [] });
  folder = world.gateway.folder.at("keys");
  await mkdir(folder);
  const rule = (name: string, login: object = {}): Record<string, unknown> => ({
    name,
    match: { userPattern: `${name}-[a-z0-9-]+` },
    login: [{ kind: "publickey", files: [`${folder}/{user}`], ...login }],
    upstream: upstreamTo(world),
  });
  await world.gateway.rewrite([
    rule("line"),
    rule("touched", { touchRequired: true }),
    rule("verified", { verifyRequired: true }),
    {
      ...rule("agent"),
      upstream: upstreamTo(world, { credentials: [{ kind: "agent" }] }),
    },
  ]);
  world.gateway.signal("SIGHUP");
  await world.gateway.waitForLog("reload", ({ event }) => event === "reloaded");
});
after(async () => {
  await world?.[Symbol.asyncDispose]();
  await token?.[Symbol.asyncDispose]();
});

/** Logs in with a key, whose line has these options. */
async function login(
  user: string,
  key: KeyFiles,
  line: string,
  more: SshOptions = {},
): ReturnType<typeof runSsh> {
  await writeFile(`${folder}/${user}`, `${line} ${key.publicLine}\n`.trimStart());
  return await runSsh(world.gateway.target(user, key.path), ["echo in"], {
    ...more,
    options: [`SecurityKeyProvider=${token.provider}`, ...(more.options ?? [])],
  });
}

async function enters(...given: Parameters<typeof login>): Promise<void> {
  const { stdout, stderr } = await login(...given);
  assert.equal(stdout.toString(), "in\n", stderr);
}

async function refused(reason: RegExp, ...given: Parameters<typeof login>): Promise<void> {
  const { code, stderr } = await login(...given);
  assert.equal(code, 255);
  assert.match(stderr, /Permission denied/);
  await world.gateway.waitForLog(
    `${given[0]}: ${reason.source}`,
    (line) =>
      line.event === "auth-denied" && line["user"] === given[0] && reason.test(String(line["reason"])),
  );
}

const withPin: SshOptions = { passwords: [securityPin] };

test("keys of both kinds log in with a touch, and not without", { skip }, async () => {
  for (const kind of securityKeyKinds) {
    const key = token.key(`kind-${kind}`, kind);
    await enters(`line-${kind}`, key, "");
    await refused(/was not touched/, `line-untouched-${kind}`, key, "", { env: untouched });
  }
});

test("no-touch-required: a line may ask for less", { skip }, async () => {
  await enters("line-robot", neither, "no-touch-required");
  await refused(/was not touched/, "line-robot-too", neither, "");
});

test("verify-required: a line may ask for the PIN", { skip }, async () => {
  await enters("line-pin", pin, "verify-required", withPin);
  await enters("line-pin-anyway", pin, "", withPin);
  await refused(/did not ask who is there/, "line-pin-lie", pin, "verify-required", {
    ...withPin,
    env: unverified,
  });
  await refused(/did not ask who is there/, "line-touch-only", touch, "verify-required");
  await refused(/was not touched/, "line-pin-untouched", pin, "verify-required", {
    ...withPin,
    env: untouched,
  });
});

test("a wrong PIN, or none, signs nothing", { skip }, async () => {
  for (const more of [{ passwords: ["4321"] }, {}]) {
    const { code, stderr } = await login("line-wrong-pin", pin, "", more);
    assert.equal(code, 255);
    assert.match(stderr, /Permission denied/);
  }
});

test("touchRequired: security keys alone, and each touched, whatever a line says", { skip }, async () => {
  await enters("touched-a", touch, "");
  await enters("touched-b", touch, "no-touch-required");
  await refused(/was not touched/, "touched-c", neither, "no-touch-required");
  await refused(/no security key/, "touched-d", world.identity, "");
});

test("verifyRequired: each having asked for PIN or finger", { skip }, async () => {
  await enters("verified-a", pin, "", withPin);
  await refused(/did not ask who is there/, "verified-b", touch, "");
  await refused(/no security key/, "verified-c", world.identity, "");
});

test("certificates of security keys: the authority may ask for the PIN, and for no touch", {
  skip,
}, async () => {
  const authority = world.keys.key("ed25519", "authority");
  const certified = async (
    user: string,
    key: KeyFiles,
    options: readonly string[],
    more: SshOptions = {},
  ): Promise<[string, KeyFiles, string, SshOptions]> => {
    const asked = options.flatMap((option) => ["-O", option]);
    const certificate = certify(authority, key, { principals: [user], more: asked });
    return [
      user,
      { ...key, publicLine: authority.publicLine },
      "cert-authority",
      { ...more, options: [`CertificateFile=${certificate}`] },
    ];
  };
  const one = token.key("certified");
  await enters(...(await certified("line-cert", one, [])));
  await refused(/was not touched/, ...(await certified("line-cert-untouched", one, [], { env: untouched })));
  await refused(/did not ask who is there/, ...(await certified("line-cert-pin", one, ["verify-required"])));
  const free = token.key("certified-free", "ed25519-sk", ["no-touch-required"]);
  await refused(/was not touched/, ...(await certified("line-cert-free", free, [])));
  // Both the line and the certificate must let it off.
  const [user, key, , more] = await certified("line-cert-freed", free, ["no-touch-required"]);
  await refused(/was not touched/, user, key, "cert-authority", more);
  await enters(user, key, "cert-authority,no-touch-required", more);
  await enters(
    ...(await certified(
      "verified-cert",
      token.key("cert-pin", "ed25519-sk", ["verify-required"]),
      [],
      withPin,
    )),
  );
});

test("the client's forwarded agent signs for the host behind, by the same security key", {
  skip,
}, async () => {
  await using agent = await startAgent([touch.path], token.provider);
  await appendFile(world.sshd.authorizedKeysFile, `${touch.publicLine}\n`);
  await writeFile(`${folder}/agent-sk`, `${touch.publicLine}\n`);
  const target = { ...world.gateway.target("agent-sk", touch.path), forwardAgent: agent.socket };
  const { stdout, stderr } = await runSsh(target, ["echo in"]);
  assert.equal(stdout.toString(), "in\n", stderr);
});

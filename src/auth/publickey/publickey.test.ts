import assert from "node:assert/strict";
import { test } from "node:test";
import { parseTemplate, silentLog, systemClock } from "#base";
import type { AuthContext, AuthPorts, FileRead, User, Verdict } from "#contract";
import { decodePublicKey, formatPublicKey, generatePrivateKey, type PublicKey } from "#ssh/keys";
import { Writer } from "#ssh/wire";
import { noUsers, usersPort } from "#test/support/auth-ports";
import { publickey } from "./publickey.ts";

const ada = generatePrivateKey("ssh-ed25519").publicKey;
const bob = generatePrivateKey("ecdsa-sha2-nistp256").publicKey;
const adaLine = formatPublicKey(ada.blob, "ada");

function portsWith(files: Record<string, string | FileRead>): AuthPorts {
  return {
    clock: systemClock,
    log: silentLog,
    files: {
      read: async (path) => {
        const file = files[path];
        return typeof file === "string" ? { bytes: Buffer.from(file), mode: 0o644 } : file;
      },
    },
    ...noUsers,
  };
}

function context(user: string, ip = "192.0.2.7"): AuthContext {
  const signal = AbortSignal.timeout(60_000);
  return {
    user,
    captures: { user },
    from: { ip, text: ip },
    nowMs: 1_000_000_000_000,
    signal,
    pretended: false,
  };
}

interface Case {
  readonly keys?: readonly string[];
  readonly files?: readonly string[];
  readonly stored?: Record<string, string | FileRead>;
  readonly key?: PublicKey;
  readonly user?: string;
  readonly ip?: string;
  readonly proven?: boolean;
  readonly touched?: boolean;
}

async function attempt(given: Case): Promise<Verdict> {
  await using method = await publickey.create(
    {
      kind: "publickey",
      ...(given.keys === undefined ? {} : { keys: given.keys }),
      ...(given.files === undefined ? {} : { files: given.files.map(parseTemplate) }),
    },
    portsWith(given.stored ?? {}),
  );
  const key = given.key ?? ada;
  return await method.attempt(
    {
      method: "publickey",
      algorithm: key.type,
      key,
      blob: key.blob,
      proven: given.proven ?? true,
      ...(given.touched === undefined ? {} : { touched: given.touched }),
    },
    context(given.user ?? "ada", given.ip),
  );
}

test("a listed key is accepted, another is not", async () => {
  assert.equal((await attempt({ keys: [adaLine] })).kind, "accepted");
  assert.equal((await attempt({ keys: [formatPublicKey(ada.blob)] })).kind, "accepted", "without a comment");
  assert.equal((await attempt({ keys: [adaLine], proven: false })).kind, "accepted");
  assert.equal((await attempt({ keys: [adaLine], key: bob })).kind, "denied");
});

test("files are found by the user's name, and only below their own directory", async () => {
  const stored = {
    "/keys/ada": `# keys\n${adaLine}\n`,
    "/keys/../secret": adaLine,
    "/keys/a/b": adaLine,
    "/keys/.": adaLine,
  };
  const files = ["/keys/{user}"];
  assert.equal((await attempt({ files, stored })).kind, "accepted");
  for (const user of ["bob", "../secret", "a/b", ".", "..", ""]) {
    assert.equal((await attempt({ files, stored, user })).kind, "denied", user);
  }
});

test("a file that everybody may write to counts for nothing", async () => {
  const stored = { "/keys": { bytes: Buffer.from(adaLine), mode: 0o666 } };
  assert.equal((await attempt({ files: ["/keys"], stored })).kind, "denied");
});

test("from and expiry-time hold", async () => {
  const cases: [string, Verdict["kind"]][] = [
    ['from="192.0.2.0/24"', "accepted"],
    ['from="198.51.100.0/24"', "denied"],
    ['from="!192.0.2.7,192.0.2.0/24"', "denied"],
    ['expiry-time="20990101Z"', "accepted"],
    ['expiry-time="20000101Z"', "denied"],
    ["no-touch-required", "accepted"],
    ['environment="A=b"', "accepted"],
    ["no-such-option", "denied"],
  ];
  for (const [options, kind] of cases) {
    const stored = { "/keys": `${options} ${adaLine}` };
    assert.equal((await attempt({ files: ["/keys"], stored })).kind, kind, options);
  }
});

test("what a line takes from the session goes with the verdict", async () => {
  const free = { pty: true, portForwarding: true, agentForwarding: true, x11Forwarding: true };
  const cases: readonly [string, object | undefined][] = [
    ["", undefined],
    ['from="*",no-user-rc', undefined],
    ["no-pty", { pty: false }],
    ["no-port-forwarding", { portForwarding: false }],
    ["no-agent-forwarding", { agentForwarding: false }],
    ["no-x11-forwarding", { x11Forwarding: false }],
    ["restrict,pty", { portForwarding: false, agentForwarding: false, x11Forwarding: false }],
    ['command="true"', { forcedCommand: "true" }],
    ['permitopen="a:1"', { permitOpen: [{ host: "a", port: 1 }] }],
    ['permitlisten="1"', { permitListen: [{ host: "*", port: 1 }] }],
    ['tunnel="0"', { tunnel: 0 }],
    ['environment="A=b"', { environment: new Map([["A", "b"]]) }],
  ];
  for (const [options, expected] of cases) {
    const verdict = await attempt({ keys: [`${options} ${adaLine}`.trim()] });
    assert.ok(verdict.kind === "accepted", options);
    const all = expected === undefined ? [] : [{ of: "key", ...free, environment: new Map(), ...expected }];
    assert.deepEqual(verdict.restrictions, all, options);
  }
  const both = await attempt({ keys: [`restrict ${adaLine}`, adaLine] });
  assert.ok(both.kind === "accepted");
  assert.equal(both.restrictions?.length, 1, "the first line that lets the key in counts");
});

test("a security key must have been touched, unless the line says otherwise", async () => {
  assert.equal((await attempt({ keys: [adaLine], touched: false })).kind, "denied");
  assert.equal((await attempt({ keys: [adaLine], touched: true })).kind, "accepted");
  assert.equal((await attempt({ keys: [`no-touch-required ${adaLine}`], touched: false })).kind, "accepted");
});

test("a broken line in the configuration is the operator's error", async () => {
  for (const line of ["ssh-ed25519", "ssh-ed25519 AAAA", "nonsense", "# comment", `bad-option ${adaLine}`]) {
    await assert.rejects(attempt({ keys: [line] }), { code: "OPERATOR_AUTHORIZED_KEY_INVALID" }, line);
  }
});

test("the keys of a user who is listed, and of nobody else", async () => {
  const user: User = { name: "ada", passwords: [], keys: [`restrict ${adaLine}`], groups: ["ops"] };
  const judge = async (name: string, groups?: readonly string[]): Promise<Verdict> => {
    const users = { name: parseTemplate("{user}"), ...(groups === undefined ? {} : { groups }) };
    const ports = { ...portsWith({}), users: usersPort(user) };
    await using method = await publickey.create({ kind: "publickey", users }, ports);
    const proof = {
      method: "publickey",
      algorithm: ada.type,
      key: ada,
      blob: ada.blob,
      proven: true,
    } as const;
    return await method.attempt(proof, context(name));
  };
  const verdict = await judge("ada");
  assert.ok(verdict.kind === "accepted");
  assert.equal(verdict.restrictions?.[0]?.pty, false, "options of the line are obeyed");
  assert.equal((await judge("ada", ["ops"])).kind, "accepted");
  assert.equal((await judge("ada", ["dev"])).kind, "denied");
  assert.equal((await judge("bob")).kind, "denied", "though the key is the one who stands in");
});

test("a rule can demand touch and PIN of all its keys, and then takes security keys alone", async () => {
  const application = new Writer()
    .string("sk-ssh-ed25519@openssh.com")
    .string(ada.blob.subarray(-32))
    .string("ssh:")
    .bytes();
  const security = decodePublicKey(application);
  const line = formatPublicKey(security.blob, "ada");
  const cases: readonly [object, object, Verdict["kind"]][] = [
    [{}, { touched: true, verified: false }, "accepted"],
    [{}, { touched: false, verified: true }, "denied"],
    [{ touchRequired: true }, { touched: true, verified: false }, "accepted"],
    [{ touchRequired: true }, { touched: false, verified: true }, "denied"],
    [{ verifyRequired: true }, { touched: true, verified: false }, "denied"],
    [{ verifyRequired: true }, { touched: true, verified: true }, "accepted"],
    [{ verifyRequired: true }, { touched: false, verified: true }, "denied"],
    [{ verifyRequired: true }, {}, "denied"],
  ];
  const judge = async (config: object, key: PublicKey, presence: object): Promise<Verdict> => {
    await using method = await publickey.create(
      { kind: "publickey", keys: [line, adaLine], ...config },
      portsWith({}),
    );
    const proof = { method: "publickey", algorithm: key.type, key, blob: key.blob, proven: true } as const;
    return await method.attempt({ ...proof, ...presence }, context("ada"));
  };
  for (const [config, presence, kind] of cases) {
    assert.equal((await judge(config, security, presence)).kind, kind, JSON.stringify([config, presence]));
  }
  for (const config of [{ touchRequired: true }, { verifyRequired: true }]) {
    const verdict = await judge(config, ada, {});
    assert.ok(verdict.kind === "denied");
    assert.equal(verdict.reason, "it is no security key");
    // The line says that no touch is needed: the rule's word counts.
    const lenient = await judge({ ...config, keys: [`no-touch-required ${line}`] }, security, {
      touched: false,
      verified: false,
    });
    assert.equal(lenient.kind, "denied");
  }
  const query = {
    method: "publickey",
    algorithm: security.type,
    key: security,
    blob: security.blob,
  } as const;
  await using method = await publickey.create(
    { kind: "publickey", keys: [line], verifyRequired: true },
    portsWith({}),
  );
  assert.equal((await method.attempt({ ...query, proven: false }, context("ada"))).kind, "accepted");
});

test("revoked keys are refused before anything else is looked at", async () => {
  const revocation = { reasonAgainst: async (key: object) => (key === ada ? "revoked" : undefined) };
  await using method = await publickey.create(
    { kind: "publickey", keys: [adaLine, formatPublicKey(bob.blob)] },
    { ...portsWith({}), revocation },
  );
  for (const [key, kind] of [
    [ada, "denied"],
    [bob, "accepted"],
  ] as const) {
    for (const proven of [false, true]) {
      const proof = { method: "publickey", algorithm: key.type, key, blob: key.blob, proven } as const;
      assert.equal((await method.attempt(proof, context("ada"))).kind, kind);
    }
  }
});

test("the key by which the rule was chosen is enough, where the configuration says so", async () => {
  await using method = await publickey.create({ kind: "publickey", matched: true }, portsWith({}));
  const proof = { method: "publickey", algorithm: ada.type, key: ada, blob: ada.blob, proven: true } as const;
  assert.equal((await method.attempt(proof, { ...context("git"), matchedKey: true })).kind, "accepted");
  assert.equal((await method.attempt(proof, { ...context("git"), matchedKey: false })).kind, "denied");
  assert.equal((await method.attempt(proof, context("git"))).kind, "denied");
  await using listed = await publickey.create(
    { kind: "publickey", keys: [formatPublicKey(bob.blob)] },
    portsWith({}),
  );
  assert.equal((await listed.attempt(proof, { ...context("git"), matchedKey: true })).kind, "denied");
});

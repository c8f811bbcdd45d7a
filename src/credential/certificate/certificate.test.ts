import assert from "node:assert/strict";
import { test } from "node:test";
import { parseTemplate, silentLog } from "#base";
import type { CredentialContext } from "#contract";
import { type CredentialConfig, createCredential, credentialKinds } from "#credential";
import {
  type Certificate,
  certificateOptions,
  checkCertificate,
  decodeCertificate,
  fingerprint,
  formatPrivateKey,
  generatePrivateKey,
} from "#ssh/keys";
import { Reader } from "#ssh/wire";
import { code } from "#test/support/decoder";
import { asksForList, fakeAgent, listOf, signatureReply } from "#test/support/fake-agent";
import { FakeClock } from "#test/support/fake-clock";
import { type LoggedLine, recordingLog } from "#test/support/fake-gateway";

type Config = Extract<CredentialConfig, { kind: "certificate" }>;

const authority = generatePrivateKey("ssh-ed25519");
const startMs = Date.UTC(2026, 0, 1);
const clock = new FakeClock(startMs);
const nowSeconds = startMs / 1000;
const context: CredentialContext = {
  sessionId: "k3j2session",
  user: "ada",
  captures: { user: "ada", 0: "ada", id: "12", port: undefined },
  upstreamUser: "root",
};
const schema = credentialKinds.find(({ kind }) => kind === "certificate")?.schema;

function configured(more: Readonly<Record<string, unknown>> = {}): Config {
  assert.ok(schema !== undefined);
  return schema.parse({ kind: "certificate", ca: "/ca", ...more }) as Config;
}

const lines: LoggedLine[] = [];

/** The certificate that one login would use. */
async function issued(
  config: Config,
  who: Partial<CredentialContext> = {},
): Promise<{ certificate: Certificate; algorithms: readonly string[] }> {
  const text = await formatPrivateKey(authority);
  await using credential = await createCredential(config, {
    clock,
    log: recordingLog(lines, {}),
    files: { read: async () => ({ bytes: Buffer.from(text), mode: 0o600 }) },
  });
  const [way] = await credential.ways({ ...context, ...who });
  assert.ok(way?.method === "publickey" && "key" in way && typeof way.key === "function");
  const key = await way.key();
  return { certificate: decodeCertificate(key.blob), algorithms: key.algorithms };
}

test("by default: the account at the upstream, minutes, all extensions, person and session as key id", async () => {
  const { certificate, algorithms } = await issued(configured());
  assert.deepEqual(algorithms, ["ssh-ed25519-cert-v01@openssh.com"]);
  assert.equal(certificate.kind, "user");
  assert.equal(certificate.keyId, "ada session k3j2session");
  assert.deepEqual(certificate.principals, ["root"]);
  assert.equal(certificate.validAfter, BigInt(nowSeconds - 60));
  assert.equal(certificate.validBefore, BigInt(nowSeconds + 300));
  assert.equal(certificate.criticalOptions.size, 0);
  const { pty, portForwarding, agentForwarding, x11Forwarding, userRc } = certificateOptions(certificate);
  assert.deepEqual([pty, portForwarding, agentForwarding, x11Forwarding, userRc], Array(5).fill(true));
  const demands = { kind: "user", principal: "root", nowSeconds, authorities: [authority.blob] } as const;
  assert.equal(checkCertificate(certificate, demands), undefined);
});

test("each session has a key and a serial of its own", async () => {
  const [one, two] = [await issued(configured()), await issued(configured())];
  assert.notDeepEqual(one.certificate.key.blob, two.certificate.key.blob);
  assert.notEqual(one.certificate.serial, two.certificate.serial);
});

test("principals by template; a capture without a value is left out", async () => {
  const principals = ["{user}", "web{id}", "{port}", "{user}"];
  const { certificate } = await issued(configured({ principals }));
  assert.deepEqual(certificate.principals, ["ada", "web12"]);
  await assert.rejects(issued(configured({ principals: ["{port}"] })), code("DENIED_CERTIFICATE_PRINCIPAL"));
});

test("a name that could be read as another, or as several, is refused", async () => {
  for (const user of ["root,ada", "root\0", "a\nb", "", "a\u202Eb"]) {
    const attempt = issued(configured({ principals: ["{user}"] }), { user, captures: { user } });
    await assert.rejects(attempt, code("DENIED_CERTIFICATE_PRINCIPAL"), JSON.stringify(user));
  }
});

test("the key id stays one line, and ends with the session", async () => {
  const user = `eve session other\n${"x".repeat(400)}`;
  const { certificate } = await issued(configured(), { user });
  assert.match(certificate.keyId, /^eve session other\?x+ session k3j2session$/);
  assert.ok(certificate.keyId.length < 300);
});

test("policy: fewer extensions, a forced command, addresses", async () => {
  const { certificate } = await issued(
    configured({
      extensions: ["permit-pty"],
      forceCommand: "/usr/bin/backup --all",
      sourceAddress: ["192.0.2.1", "2001:db8::/64"],
      validSeconds: "30s",
      clockSkewSeconds: 0,
    }),
  );
  const { pty, portForwarding, forceCommand, sourceAddress } = certificateOptions(certificate);
  assert.deepEqual([pty, portForwarding], [true, false]);
  assert.equal(forceCommand, "/usr/bin/backup --all");
  assert.equal(sourceAddress, "192.0.2.1,2001:db8::/64");
  assert.equal(certificate.validAfter, BigInt(nowSeconds));
  assert.equal(certificate.validBefore, BigInt(nowSeconds + 30));
});

test("each certificate is logged, the key's private half not", async () => {
  lines.length = 0;
  const { certificate } = await issued(configured());
  const [line] = lines.filter(({ event }) => event === "certificate-issued");
  assert.equal(line?.["session"], "k3j2session");
  assert.equal(line?.["keyId"], certificate.keyId);
  assert.equal(line?.["serial"], String(certificate.serial));
  assert.equal(line?.["ca"], fingerprint(authority.blob));
  assert.equal(line?.["key"], fingerprint(certificate.key.blob));
  assert.equal(line?.["validBefore"], "2026-01-01T00:05:00.000Z");
});

test("the CA's key may be in an agent", async () => {
  await using agent = await fakeAgent((payload) => {
    if (asksForList(payload)) return listOf(generatePrivateKey("ssh-ed25519"), authority);
    const reader = new Reader(payload);
    reader.u8();
    reader.string();
    return signatureReply(authority.sign("ssh-ed25519", reader.string()) as Uint8Array);
  });
  const { certificate } = await issued(
    configured({ ca: undefined, socket: agent.socket, key: fingerprint(authority.blob) }),
  );
  assert.deepEqual(certificate.authority.blob, authority.blob);
});

test("a CA that is not there, or needs its passphrase, is told when the rule is made", async () => {
  const make = (text: string | undefined) =>
    createCredential(configured(), {
      clock,
      log: silentLog,
      files: {
        read: async () => (text === undefined ? undefined : { bytes: Buffer.from(text), mode: 0o600 }),
      },
    });
  await assert.rejects(make(undefined), code("OPERATOR_CREDENTIAL_FILE_MISSING"));
  await assert.rejects(
    make(await formatPrivateKey(authority, "secret")),
    code("OPERATOR_KEY_PASSPHRASE_NEEDED"),
  );
});

test("the configuration: a file or an agent, and nothing that means two things", () => {
  const key = fingerprint(authority.blob);
  const refused: readonly (readonly [Readonly<Record<string, unknown>>, RegExp])[] = [
    [{ ca: undefined }, /give either ca, or socket and key/],
    [{ socket: "/agent", key }, /give either ca, or socket and key/],
    [{ ca: undefined, socket: "/agent" }, /socket needs key/],
    [{ key }, /goes with socket/],
    [{ ca: undefined, socket: "/agent", key, passphrase: "x" }, /goes with ca/],
    [{ principals: [] }, /./],
    [{ extensions: ["permit-everything"] }, /./],
    [{ forceCommand: "true\nfalse" }, /one line/],
    [{ validSeconds: 0 }, /at least/],
    [{ sourceAddress: ["10.0.0.1/8"] }, /./],
  ];
  for (const [change, words] of refused) {
    assert.throws(() => configured(change), words, JSON.stringify(change));
  }
  assert.deepEqual(
    configured({ principals: ["{user}"] }).principals?.[0]?.names,
    parseTemplate("{user}").names,
  );
});

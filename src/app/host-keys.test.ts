import assert from "node:assert/strict";
import { test } from "node:test";
import type { FileReader } from "#contract";
import {
  type CertificateContents,
  formatPrivateKey,
  formatPublicKey,
  generatePrivateKey,
  signCertificate,
} from "#ssh/keys";
import { code } from "#test/support/decoder";
import { FakeClock } from "#test/support/fake-clock";
import { type LoggedLine, recordingLog } from "#test/support/fake-gateway";
import { HostKeys } from "./host-keys.ts";

const startMs = Date.UTC(2026, 0, 1);
const from = BigInt(startMs / 1000);
const key = generatePrivateKey("ssh-ed25519");
const other = generatePrivateKey("ecdsa-sha2-nistp256");
const authority = generatePrivateKey("ssh-ed25519");

async function certificateFor(change: Partial<CertificateContents> = {}): Promise<string> {
  const certificate = await signCertificate(
    {
      kind: "host",
      key: key.publicKey,
      serial: 1n,
      keyId: "gate",
      principals: ["gate.example"],
      validAfter: from,
      validBefore: from + 3600n,
      ...change,
    },
    authority,
  );
  return formatPublicKey(certificate.blob, "gate");
}

async function read(
  paths: readonly string[],
  texts: Readonly<Record<string, string>>,
): Promise<{ found: HostKeys; clock: FakeClock; lines: LoggedLine[] }> {
  const clock = new FakeClock(startMs);
  const lines: LoggedLine[] = [];
  const all: Record<string, string> = {
    "/key": await formatPrivateKey(key),
    "/other": await formatPrivateKey(other),
    ...texts,
  };
  const files: FileReader = {
    read: async (path) => {
      const text = all[path];
      return text === undefined ? undefined : { bytes: Buffer.from(text), mode: 0o600 };
    },
  };
  return { found: await HostKeys.read(paths, { clock, log: recordingLog(lines, {}), files }), clock, lines };
}

const types = (found: HostKeys): string[] => found.offered.map(({ algorithms }) => algorithms[0] ?? "");

test("a certificate is offered before the keys, from its first second to its last", async () => {
  const certificate = await certificateFor({ validAfter: from + 10n });
  const { found, clock, lines } = await read(["/key", "/other"], { "/key-cert.pub": certificate });
  const plain = ["ssh-ed25519", "ecdsa-sha2-nistp256"];
  const whole = ["ssh-ed25519-cert-v01@openssh.com", ...plain];
  assert.deepEqual(types(found), plain);
  clock.advance(10_000);
  assert.deepEqual(types(found), whole);
  clock.advance(3_589_000);
  assert.deepEqual(types(found), whole);
  clock.advance(1_000);
  assert.deepEqual(types(found), plain);
  assert.deepEqual(
    found.plain.map(({ blob }) => blob),
    [key.blob, other.blob],
  );
  const told = lines.filter(({ event }) => event === "host-certificate-unusable");
  assert.equal(told.length, 1, "told once, not at each connection");
});

test("beside a key, what is no good is passed over with its reason; listed, it is refused with it", async () => {
  const cases: readonly (readonly [string, RegExp])[] = [
    [await certificateFor({ kind: "user" }), /user certificate/],
    [await certificateFor({ key: generatePrivateKey("ssh-ed25519").publicKey }), /none of the host keys/],
    ["ssh-ed25519-cert-v01@openssh.com AAAA gate", /can be read/],
  ];
  for (const [text, reason] of cases) {
    const { found, lines } = await read(["/key"], { "/key-cert.pub": text });
    assert.deepEqual(types(found), ["ssh-ed25519"]);
    assert.match(
      String(lines.find(({ event }) => event === "host-certificate-unusable")?.["reason"]),
      reason,
    );
    await assert.rejects(read(["/key", "/listed"], { "/listed": text }), (error: Error) => {
      assert.ok(code("OPERATOR_HOST_CERTIFICATE_UNUSABLE")(error));
      return reason.test(error.message) && error.message.includes("/listed");
    });
  }
});

test("a certificate that is listed and lies beside its key is offered once", async () => {
  const { found } = await read(["/key", "/key-cert.pub"], { "/key-cert.pub": await certificateFor() });
  assert.deepEqual(types(found), ["ssh-ed25519-cert-v01@openssh.com", "ssh-ed25519"]);
});

test("a key that is missing, or no key at all, is told", async () => {
  await assert.rejects(read(["/none"], {}), code("OPERATOR_HOST_KEY_MISSING"));
  await assert.rejects(
    read(["/listed"], { "/listed": await certificateFor() }),
    code("OPERATOR_HOST_KEY_MISSING"),
  );
  await assert.rejects(read(["/junk"], { "/junk": "junk" }), code("OPERATOR_FILE_UNREADABLE"));
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLog, systemClock } from "#base";
import type { AuthContext, AuthPorts, DeviceAuthority, KeyProof, NewcomerProof, Verdict } from "#contract";
import {
  type CertificateContents,
  decodePublicKey,
  formatPublicKey,
  generatePrivateKey,
  type PublicKey,
  signCertificate,
} from "#ssh/keys";
import { Writer } from "#ssh/wire";
import { noUsers } from "#test/support/auth-ports";
import { device } from "./device.ts";

const key = generatePrivateKey("ssh-ed25519").publicKey;
const authority = generatePrivateKey("ssh-ed25519");
const security = decodePublicKey(
  new Writer().string("sk-ssh-ed25519@openssh.com").string(key.blob.subarray(-32)).string("ssh:").bytes(),
);

/** Lets everybody wait for approval, and keeps what they showed. */
function desk(): { readonly devices: DeviceAuthority; readonly shown: NewcomerProof[] } {
  const shown: NewcomerProof[] = [];
  const nothing = (): never => assert.fail("not asked for");
  const devices: DeviceAuthority = {
    standing: async (_, proof) => {
      shown.push(proof);
      return { kind: "newcomer", admission: { by: "pending", code: "AB-12" } };
    },
    join: nothing,
    bind: nothing,
    seen: nothing,
    certify: nothing,
    certificateSeconds: undefined,
  };
  return { devices, shown };
}

const context: AuthContext = {
  user: "box",
  from: { text: "192.0.2.1", ip: "192.0.2.1" },
  nowMs: Date.now(),
  captures: {},
  pretended: false,
  signal: AbortSignal.timeout(60_000),
};

async function judged(
  proof: Partial<KeyProof>,
  more: Partial<AuthPorts> = {},
): Promise<{ readonly verdict: Verdict; readonly shown: readonly NewcomerProof[] }> {
  const { devices, shown } = desk();
  const ports: AuthPorts = {
    ...noUsers,
    clock: systemClock,
    log: silentLog,
    files: { read: async () => undefined },
    devices,
    ...more,
  };
  await using method = await device.create(
    { kind: "device", authorities: [formatPublicKey(authority.publicKey.blob)] },
    ports,
  );
  const whole = {
    method: "publickey",
    algorithm: key.type,
    key,
    blob: key.blob,
    proven: true,
    ...proof,
  } as const;
  return { verdict: await method.attempt(whole, context), shown };
}

async function certified(
  of: PublicKey,
  more: Partial<CertificateContents> = {},
): Promise<Pick<KeyProof, "key" | "blob">> {
  const now = BigInt(Math.floor(Date.now() / 1000));
  const certificate = await signCertificate(
    {
      kind: "user",
      key: of,
      serial: 1n,
      keyId: "box",
      principals: ["box"],
      validAfter: now - 60n,
      validBefore: now + 60n,
      ...more,
    },
    authority,
  );
  return { key: certificate, blob: certificate.blob };
}

test("a key waits for approval once it is proven, and a trusted certificate brings its names", async () => {
  assert.equal((await judged({ proven: false })).verdict.kind, "undecided");
  const plain = await judged({});
  assert.ok(plain.verdict.kind === "accepted");
  assert.match(plain.verdict.notice ?? "", /AB-12/);
  const named = await judged(await certified(key));
  assert.deepEqual(named.shown, [{ names: ["box"] }]);
});

test("a key that is revoked is no device's, alone or in a certificate", async () => {
  const revocation = { reasonAgainst: async () => "the key is revoked" };
  for (const shown of [{}, await certified(key)]) {
    const { verdict, shown: asked } = await judged(shown, { revocation });
    assert.deepEqual(verdict, { kind: "denied", reason: "the key is revoked" });
    assert.deepEqual(asked, [], "and nothing is noted of it");
  }
});

test("a security key must have been touched, and asked for its PIN where its certificate says so", async () => {
  const touched = { touched: true, verified: false };
  const not = { touched: false, verified: true };
  const pin = await certified(security, { criticalOptions: new Map([["verify-required", ""]]) });
  const free = await certified(security, { extensions: ["no-touch-required"] });
  const bare = { key: security, blob: security.blob };
  for (const [what, proof, kind] of [
    ["touched", { ...bare, ...touched }, "accepted"],
    ["untouched", { ...bare, ...not }, "denied"],
    ["certified, touched", { ...(await certified(security)), ...touched }, "accepted"],
    ["certified, untouched", { ...(await certified(security)), ...not }, "denied"],
    ["must be verified, and is not", { ...pin, ...touched }, "denied"],
    ["must be verified, and is", { ...pin, touched: true, verified: true }, "accepted"],
    ["need not be touched", { ...free, ...not }, "accepted"],
  ] as const) {
    assert.equal((await judged(proof)).verdict.kind, kind, what);
  }
});

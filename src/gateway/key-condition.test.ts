import assert from "node:assert/strict";
import { test } from "node:test";
import { Pattern } from "#base";
import type { RuleMatch } from "#contract";
import {
  type Certificate,
  type CertificateContents,
  fingerprint,
  formatPublicKey,
  generatePrivateKey,
  type PublicKey,
  signCertificate,
} from "#ssh/keys";
import { KeyCondition } from "./key-condition.ts";

const ca = generatePrivateKey("ssh-ed25519");
const otherCa = generatePrivateKey("ssh-ed25519");
const ada = generatePrivateKey("ssh-ed25519").publicKey;
const bob = generatePrivateKey("ecdsa-sha2-nistp256").publicKey;
const nowSeconds = 1_700_000_000;

async function certificate(more: Partial<CertificateContents> = {}, by = ca): Promise<Certificate> {
  const validity = { validAfter: 0n, validBefore: BigInt(nowSeconds) + 60n };
  return await signCertificate(
    { kind: "user", key: ada, serial: 1n, keyId: "ada@laptop", principals: ["git"], ...validity, ...more },
    by,
  );
}

function check(match: RuleMatch, key?: PublicKey | Certificate, ip = "192.0.2.7"): object | string {
  const condition = KeyCondition.of(match);
  assert.ok(condition);
  const who = { user: "git", from: { ip, text: ip }, nowMs: nowSeconds * 1000 };
  return condition.check({ ...who, ...(key === undefined ? {} : { key }) });
}

function reasonOf(found: object | string): string {
  return typeof found === "string" ? found : assert.fail("it matches");
}

test("keys and fingerprints", async () => {
  for (const match of [
    { keys: [formatPublicKey(bob.blob), formatPublicKey(ada.blob, "with a comment")] },
    { fingerprints: [fingerprint(ada.blob)] },
    { fingerprints: [`${fingerprint(ada.blob)}=`] },
  ]) {
    assert.deepEqual(check(match, ada), {});
    assert.equal(check(match, ca.publicKey), "the key is none of its keys");
    assert.equal(check(match), "it is for those who show its key");
    assert.equal(
      check(match, await certificate()),
      "the key is none of its keys",
      "a certificate is no plain key",
    );
  }
  assert.equal(KeyCondition.of({ user: "git" }), undefined);
});

test("certificates", async () => {
  const authorities = [formatPublicKey(ca.blob, "our CA")];
  const match: RuleMatch = { certificate: { authorities } };
  assert.deepEqual(check(match, await certificate()), {});
  const refused: readonly [Certificate | PublicKey | undefined, RegExp][] = [
    [undefined, /for those who show its key/],
    [ada, /no certificate/],
    [await certificate({}, otherCa), /authority is not trusted/],
    [await certificate({ principals: ["other"] }), /not among its principals/],
    [await certificate({ validBefore: BigInt(nowSeconds) }), /expired/],
    [await certificate({ validAfter: BigInt(nowSeconds) + 1n }), /not yet valid/],
    [await certificate({ kind: "host" }), /a host certificate/],
    [await certificate({ criticalOptions: new Map([["strange@example", ""]]) }), /is not known/],
    [await certificate({ criticalOptions: new Map([["source-address", "10.0.0.0/8"]]) }), /not be used from/],
  ];
  for (const [key, reason] of refused) assert.match(reasonOf(check(match, key)), reason);
  const team: RuleMatch = { certificate: { authorities, principals: ["admins", "web-team"] } };
  assert.deepEqual(check(team, await certificate({ principals: ["web-team"] })), {});
  assert.match(reasonOf(check(team, await certificate())), /not among its principals/);
});

test("the key id, and what is caught in it", async () => {
  const match: RuleMatch = {
    certificate: { authorities: [formatPublicKey(ca.blob)], keyId: new Pattern("(?<person>[a-z]+)@.*") },
  };
  assert.deepEqual(check(match, await certificate()), { person: "ada" });
  assert.match(reasonOf(check(match, await certificate({ keyId: "ada" }))), /key id does not match/);
});

test("a line that is no plain key", async () => {
  const { blob } = await certificate();
  for (const line of ["ssh-ed25519 AAAA", "nonsense", formatPublicKey(blob)]) {
    assert.throws(() => KeyCondition.of({ keys: [line] }), Error, line);
    assert.throws(() => KeyCondition.of({ certificate: { authorities: [line] } }), Error, line);
  }
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { fingerprint, formatPublicKey, generatePrivateKey, type PublicKey, signCertificate } from "#ssh/keys";
import { certificateIn, renewalMs } from "./certificate.ts";

const authority = generatePrivateKey("ssh-ed25519");
const { publicKey } = generatePrivateKey("ssh-ed25519");

async function certified(key: PublicKey, kind: "user" | "host" = "user"): Promise<string> {
  const contents = {
    kind,
    key,
    serial: 1n,
    keyId: "k",
    principals: ["kiosk7"],
    validAfter: 0n,
    validBefore: 9000n,
  };
  return formatPublicKey((await signCertificate(contents, authority)).blob, "kiosk7");
}

test("only a user certificate for our own key is kept", async () => {
  const own = fingerprint(publicKey.blob);
  const line = await certified(publicKey);
  assert.deepEqual(certificateIn(line, own).principals, ["kiosk7"]);
  const other = generatePrivateKey("ssh-ed25519").publicKey;
  assert.throws(() => certificateIn(formatPublicKey(publicKey.blob), own), /no user certificate/);
  const host = await certified(publicKey, "host");
  assert.throws(() => certificateIn(host, own), /no user certificate/);
  const foreign = await certified(other);
  assert.throws(() => certificateIn(foreign, own), /another key/);
  assert.throws(() => certificateIn(`${line}\nssh-ed25519 AAAA`, own), /more than one line/);
  assert.throws(() => certificateIn("", own), /./);
});

test("the next one is fetched at a third of the time that is left, within bounds", () => {
  const hour = 3600;
  const of = (seconds: number, chance: number): number =>
    renewalMs({ validBefore: BigInt(seconds) }, 0, chance) / 1000;
  assert.deepEqual([of(3 * hour, 0.5), of(3 * hour, 0), of(3 * hour, 1)], [hour, 0.9 * hour, 1.1 * hour]);
  assert.equal(of(0, 0.5), 30);
  assert.equal(renewalMs({ validBefore: 2n ** 64n - 1n }, 0, 0.5), 24 * 3600 * 1000);
});

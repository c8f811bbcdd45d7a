import assert from "node:assert/strict";
import { test } from "node:test";
import { generatePrivateKey, formatPublicKey, parsePublicKeyLine } from "#ssh/keys";
import { ask, newcomerOf, startAuthority } from "#test/support/devices";

const authority = generatePrivateKey("ssh-ed25519");
const by = { by: "ada" };

test("a certificate says what is known of the device now, and is signed while it is approved alone", async () => {
  const issue = { open: () => Promise.resolve(authority), validSeconds: 3600 };
  const { enrolment, office, store, clock } = startAuthority({ issue });
  const { code } = await ask(enrolment, "aaa");
  const device = await office.approve(code, { name: "kiosk7" }, by);
  const key = generatePrivateKey("ssh-ed25519").publicKey;
  await store.change(device.id, (now) => ({ ...now, key: formatPublicKey(key.blob) }));
  await office.rename("kiosk7", "kiosk8", by);
  const certified = await enrolment.certify(device);
  assert.equal(certified.kind, "certificate");
  const { key: certificate } = parsePublicKeyLine(certified.kind === "certificate" ? certified.line : "");
  assert.ok("key" in certificate);
  assert.deepEqual([certificate.principals, certificate.kind], [["kiosk8"], "user"]);
  assert.deepEqual(certificate.key.blob, key.blob);
  const nowSeconds = BigInt(Math.floor(clock.now() / 1000));
  assert.deepEqual(
    [certificate.validAfter, certificate.validBefore],
    [nowSeconds - 300n, nowSeconds + 3600n],
  );
  assert.deepEqual([...certificate.extensions.keys()], ["permit-port-forwarding"]);
  const [last] = await office.log("kiosk8", 1);
  assert.partialDeepStrictEqual(last, { event: "certified", by: "gateway" });
  await office.revoke("kiosk8", by);
  assert.deepEqual(await enrolment.certify(device), {
    kind: "refused",
    reason: "its approval was withdrawn",
  });
});

test("who is revoked while it is signed does not get it", async () => {
  const signing = Promise.withResolvers<typeof authority>();
  const { enrolment, office, store } = startAuthority({
    issue: { open: () => signing.promise, validSeconds: 60 },
  });
  const { code } = await ask(enrolment, "aaa");
  const device = await office.approve(code, { name: "kiosk7" }, by);
  const key = formatPublicKey(generatePrivateKey("ssh-ed25519").publicKey.blob);
  await store.change(device.id, (now) => ({ ...now, key }));
  const asked = enrolment.certify(device);
  await office.revoke("kiosk7", by);
  signing.resolve(authority);
  assert.equal((await asked).kind, "refused");
});

test("where certificates must hold always, a key that came by one is nothing without it", async () => {
  const { enrolment } = startAuthority({ certificate: { tags: [], ports: [22], always: true } });
  const newcomer = newcomerOf("aaa");
  const proof = { names: ["kiosk7"] };
  const standing = await enrolment.standing(newcomer, proof);
  assert.equal(standing.kind, "newcomer");
  const joined = await enrolment.join(newcomer, { by: "certificate", names: ["kiosk7"] }, "kiosk7");
  assert.equal(joined.kind, "device");
  assert.equal((await enrolment.standing(newcomer, proof)).kind, "device");
  assert.equal((await enrolment.standing(newcomer, {})).kind, "refused");
  assert.equal((await enrolment.standing(newcomer, { names: [] })).kind, "refused");
  // Who came otherwise is not asked for one.
  const other = startAuthority({ certificate: { tags: [], ports: [22], always: true } });
  const { code } = await ask(other.enrolment, "bbb");
  await other.office.approve(code, { name: "kiosk8" }, by);
  assert.equal((await other.enrolment.standing(newcomerOf("bbb"), {})).kind, "device");
});

import assert from "node:assert/strict";
import { createECDH, randomBytes } from "node:crypto";
import { test } from "node:test";
import {
  algorithmErrors,
  type Agreement,
  defaultAlgorithms,
  groupExchanges,
  kexMethods,
  type KexMethod,
  type RandomBytes,
  Slow,
  systemRandom,
} from "#ssh/algorithms";
import { Reader } from "#ssh/wire";
import { someBytes } from "#test/support/packets";
import { ecCurves, ecPrivate, ecPublicBytes, isEcPrivate } from "./raw-keys.ts";

const { PEER_KEX_VALUE, BUG_RANDOM_STUCK } = algorithmErrors;
const hex = (text: string): Buffer => Buffer.from(text, "hex");

/** Not the system's own function, so that the ways of a replay are taken. */
const ownRandom: RandomBytes = (count) => randomBytes(count);

function method(name: string): KexMethod {
  const row = kexMethods.get(name);
  assert.ok(row, name);
  return row;
}

async function settled(value: Agreement | Slow<Agreement>): Promise<Agreement> {
  return value instanceof Slow ? await value.run() : value;
}

/** The randomness of a replay: the same bytes for the same calls. */
function replay(seed: number): RandomBytes {
  let calls = 0;
  return (count) => someBytes(count, seed * 1000 + ++calls);
}

const longer = (value: Uint8Array, by: number): Uint8Array => Buffer.concat([value, Buffer.alloc(by, 1)]);
const before = (value: Uint8Array, by: number): Uint8Array => Buffer.concat([Buffer.alloc(by, 1), value]);

function numberIn(secret: Uint8Array): bigint {
  const reader = new Reader(secret);
  const magnitude = reader.mpint();
  reader.expectEnd();
  return BigInt(`0x${Buffer.from(magnitude).toString("hex")}`);
}

async function exchange(row: KexMethod, random: RandomBytes): Promise<Agreement> {
  const client = row.client(random);
  const server = await settled(row.answer(client.publicValue, random));
  const agreed = await settled(client.agree(server.publicValue));
  assert.deepEqual(agreed.secret, server.secret);
  assert.deepEqual(agreed.publicValue, client.publicValue);
  assert.notDeepEqual(server.publicValue, client.publicValue);
  return server;
}

test("the table holds what it should", () => {
  assert.deepEqual(
    [...kexMethods.values()].map(({ name, hash, publicForm }) => [name, hash, publicForm]),
    [
      ["mlkem768x25519-sha256", "sha256", "string"],
      ["curve25519-sha256", "sha256", "string"],
      ["curve25519-sha256@libssh.org", "sha256", "string"],
      ["ecdh-sha2-nistp256", "sha256", "string"],
      ["ecdh-sha2-nistp384", "sha384", "string"],
      ["ecdh-sha2-nistp521", "sha512", "string"],
      ["diffie-hellman-group14-sha256", "sha256", "mpint"],
      ["diffie-hellman-group16-sha512", "sha512", "mpint"],
      ["diffie-hellman-group18-sha512", "sha512", "mpint"],
    ],
  );
  assert.equal(defaultAlgorithms.kex[0], "mlkem768x25519-sha256");
  for (const name of defaultAlgorithms.kex) assert.ok(kexMethods.has(name) || groupExchanges.has(name), name);
  assert.equal(new Set(defaultAlgorithms.kex).size, kexMethods.size + groupExchanges.size);
});

for (const row of kexMethods.values()) {
  test(`${row.name}: client and server agree, each time on something else`, async () => {
    const secrets = new Set<string>();
    for (const random of [systemRandom, systemRandom, ownRandom]) {
      const { secret } = await exchange(row, random);
      secrets.add(Buffer.from(secret).toString("hex"));
      const reader = new Reader(secret);
      if (row.name.startsWith("mlkem")) assert.equal(reader.string().length, 32);
      else assert.notEqual(reader.mpint().length, 0);
      reader.expectEnd();
    }
    assert.equal(secrets.size, 3);
  });

  test(`${row.name}: the same randomness gives the same values`, async () => {
    const first = row.client(replay(1));
    assert.deepEqual(row.client(replay(1)).publicValue, first.publicValue);
    assert.notDeepEqual(row.client(replay(2)).publicValue, first.publicValue);
    const answer = await settled(row.answer(first.publicValue, replay(3)));
    const again = await settled(row.answer(first.publicValue, replay(3)));
    // The encapsulation of ML-KEM takes its own randomness: of a hybrid only the X25519 part is the same.
    const from = row.name.startsWith("mlkem") ? 1088 : 0;
    assert.deepEqual(answer.publicValue.subarray(from), again.publicValue.subarray(from));
    const agreed = await settled(first.agree(answer.publicValue));
    const agreedAgain = await settled(row.client(replay(1)).agree(answer.publicValue));
    assert.deepEqual(agreed, agreedAgain);
  });

  test(`${row.name}: values of the wrong length are refused`, async () => {
    const client = row.client(ownRandom);
    const server = await settled(row.answer(client.publicValue, ownRandom));
    // A number of a byte more or less may still be one in the group; the hash over the values is what catches that.
    const by = row.publicForm === "mpint" ? 16 : 1;
    for (const change of [longer, before, () => new Uint8Array()]) {
      assert.throws(() => row.answer(change(client.publicValue, by), ownRandom), PEER_KEX_VALUE);
      assert.throws(() => client.agree(change(server.publicValue, by)), PEER_KEX_VALUE);
    }
    if (row.publicForm === "mpint") return;
    assert.throws(() => row.answer(client.publicValue.subarray(1), ownRandom), PEER_KEX_VALUE);
    assert.throws(() => row.answer(client.publicValue.subarray(0, -1), ownRandom), PEER_KEX_VALUE);
    assert.throws(() => client.agree(server.publicValue.subarray(1)), PEER_KEX_VALUE);
    assert.throws(() => client.agree(server.publicValue.subarray(0, -1)), PEER_KEX_VALUE);
  });
}

test("curve25519: the example of RFC 7748, section 6.1", async () => {
  const [alice, bob] = [
    hex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"),
    hex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"),
  ];
  const row = method("curve25519-sha256");
  const client = row.client(() => alice);
  const server = await settled(row.answer(client.publicValue, () => bob));
  assert.equal(
    Buffer.from(client.publicValue).toString("hex"),
    "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
  );
  assert.equal(
    Buffer.from(server.publicValue).toString("hex"),
    "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
  );
  assert.equal(
    Buffer.from(server.secret).toString("hex"),
    "000000204a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742",
  );
});

// Points of small order on Curve25519 and its twist (RFC 7748, section 7), all of which give the secret zero.
const smallOrder = [
  "00".repeat(32),
  `01${"00".repeat(31)}`,
  "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
  "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
  `ec${"ff".repeat(30)}7f`,
  `ed${"ff".repeat(30)}7f`,
  `ee${"ff".repeat(30)}7f`,
];

for (const name of ["curve25519-sha256", "curve25519-sha256@libssh.org"]) {
  test(`${name}: points of small order are refused`, () => {
    const row = method(name);
    for (const point of smallOrder) {
      assert.throws(() => row.answer(hex(point), ownRandom), PEER_KEX_VALUE, point);
      assert.throws(() => row.client(ownRandom).agree(hex(point)), PEER_KEX_VALUE, point);
    }
  });
}

const curves = [
  { name: "ecdh-sha2-nistp256", curve: "P-256", node: "prime256v1", bytes: 32 },
  { name: "ecdh-sha2-nistp384", curve: "P-384", node: "secp384r1", bytes: 48 },
  { name: "ecdh-sha2-nistp521", curve: "P-521", node: "secp521r1", bytes: 66 },
] as const;

for (const { name, curve, node, bytes } of curves) {
  test(`${name}: agrees with another interface of OpenSSL`, async () => {
    const row = method(name);
    for (let n = 0; n < 8; n++) {
      const peer = createECDH(node);
      peer.generateKeys();
      const client = row.client(ownRandom);
      const asClient = await settled(client.agree(peer.getPublicKey()));
      const wanted = (value: Uint8Array): bigint =>
        BigInt(`0x${Buffer.from(peer.computeSecret(value)).toString("hex")}`);
      assert.equal(numberIn(asClient.secret), wanted(client.publicValue));
      for (const random of [ownRandom, systemRandom]) {
        const asServer = await settled(row.answer(peer.getPublicKey(), random));
        assert.equal(numberIn(asServer.secret), wanted(asServer.publicValue));
      }
    }
  });

  test(`${name}: points off the curve, compressed, hybrid or at infinity are refused`, () => {
    const row = method(name);
    const peer = createECDH(node);
    peer.generateKeys();
    const good = peer.getPublicKey();
    const offCurve = Buffer.from(good);
    offCurve[2 * bytes] = (offCurve[2 * bytes] ?? 0) ^ 1;
    const tooBig = Buffer.concat([Uint8Array.of(4), Buffer.alloc(bytes, 0xff), good.subarray(1 + bytes)]);
    for (const bad of [
      offCurve,
      tooBig,
      Buffer.concat([Uint8Array.of(4), Buffer.alloc(2 * bytes)]),
      Uint8Array.of(0),
      peer.getPublicKey(null, "compressed"),
      peer.getPublicKey(null, "hybrid"),
      Buffer.concat([Uint8Array.of(5), good.subarray(1)]),
    ]) {
      assert.throws(() => row.answer(bad, ownRandom), PEER_KEX_VALUE);
      assert.throws(() => row.client(ownRandom).agree(bad), PEER_KEX_VALUE);
    }
  });

  test(`${name}: private keys lie between 0 and the order`, () => {
    const { order } = ecCurves[curve];
    const last = Uint8Array.from(order);
    last[bytes - 1] = (last[bytes - 1] ?? 0) - 1;
    const one = new Uint8Array(bytes);
    one[bytes - 1] = 1;
    // The key before the order is -1: the same point as for 1, but for its sign.
    const coordinate = (key: Uint8Array): Uint8Array =>
      ecPublicBytes(ecPrivate(curve, key)).subarray(1, 1 + bytes);
    assert.deepEqual(coordinate(last), coordinate(one));
    for (const good of [one, last]) assert.equal(isEcPrivate(curve, good), true);
    for (const bad of [
      order,
      new Uint8Array(bytes),
      order.subarray(1),
      Buffer.concat([Uint8Array.of(0), one]),
    ]) {
      assert.equal(isEcPrivate(curve, bad), false);
    }
  });

  test(`${name}: randomness that gives no private key is tried again, and never for ever`, () => {
    const row = method(name);
    const answers = [new Uint8Array(bytes), new Uint8Array(bytes).fill(0xff), someBytes(bytes, 4)];
    const asked: number[] = [];
    const client = row.client((count) => {
      asked.push(count);
      return answers[asked.length - 1] ?? assert.fail("asked once more than needed");
    });
    assert.deepEqual(asked, [bytes, bytes, bytes]);
    assert.equal(client.publicValue.length, 1 + 2 * bytes);
    assert.throws(() => row.client((count) => new Uint8Array(count)), BUG_RANDOM_STUCK);
  });
}

test("ecdh-sha2-nistp256: the example of RFC 5903, section 8.1", async () => {
  const row = method("ecdh-sha2-nistp256");
  const client = row.client(() => hex("c88f01f510d9ac3f70a292daa2316de544e9aab8afe84049c62a9c57862d1433"));
  assert.equal(
    Buffer.from(client.publicValue).toString("hex"),
    "04dad0b65394221cf9b051e1feca5787d098dfe637fc90b9ef945d0c37725811805271a0461cdb8252d61f1c456fa3e59ab1f45b33accf5f58389e0577b8990bb3",
  );
  const server = await settled(
    row.answer(client.publicValue, () =>
      hex("c6ef9c5d78ae012a011164acb397ce2088685d8f06bf9be0b283ab46476bee53"),
    ),
  );
  // The top bit is set: as an mpint the secret takes a zero before it.
  assert.equal(
    Buffer.from(server.secret).toString("hex"),
    "0000002100d6840f6b42f6edafd13116e0e12565202fef8e9ece7dce03812464d04b9442de",
  );
});

test("ecdh-sha2-nistp384: the example of RFC 5903, section 8.2", async () => {
  const row = method("ecdh-sha2-nistp384");
  const client = row.client(() =>
    hex("099f3c7034d4a2c699884d73a375a67f7624ef7c6b3c0f160647b67414dce655e35b538041e649ee3faef896783ab194"),
  );
  const agreed = await settled(
    client.agree(
      hex(
        "04e558dbef53eecde3d3fccfc1aea08a89a987475d12fd950d83cfa41732bc509d0d1ac43a0336def96fda41d0774a3571dcfbec7aacf3196472169e838430367f66eebe3c6e70c416dd5f0c68759dd1fff83fa40142209dff5eaad96db9e6386c",
      ),
    ),
  );
  assert.equal(
    Buffer.from(agreed.secret).toString("hex"),
    "0000003011187331c279962d93d604243fd592cb9d0a926f422e47187521287e7156c5c4d603135569b9e9d09cf5d4a270f59746",
  );
});

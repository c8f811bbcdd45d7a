import assert from "node:assert/strict";
import { getDiffieHellman, randomBytes } from "node:crypto";
import { test } from "node:test";
import {
  algorithmErrors,
  type Agreement,
  groupExchanges,
  kexMethods,
  type KexMethod,
  type RandomBytes,
  Slow,
  systemRandom,
} from "#ssh/algorithms";
import { Reader } from "#ssh/wire";
import { someBytes } from "#test/support/packets";
import { isInsideGroup } from "./dh.ts";

const { PEER_KEX_VALUE } = algorithmErrors;
const random: RandomBytes = (count) => randomBytes(count);

const groups = [
  { name: "diffie-hellman-group14-sha256", node: "modp14", exponentBytes: 32 },
  { name: "diffie-hellman-group16-sha512", node: "modp16", exponentBytes: 48 },
  { name: "diffie-hellman-group18-sha512", node: "modp18", exponentBytes: 64 },
] as const;

function toNumber(bytes: Uint8Array): bigint {
  return BigInt(`0x0${Buffer.from(bytes).toString("hex")}`);
}

function toBytes(number: bigint): Uint8Array {
  const text = number.toString(16);
  return Buffer.from(text.length % 2 === 0 ? text : `0${text}`, "hex");
}

/** By the schoolbook, for comparison. */
function power(base: bigint, exponent: bigint, modulus: bigint): bigint {
  let result = 1n;
  for (const bit of exponent.toString(2)) {
    result = (result * result) % modulus;
    if (bit === "1") result = (result * base) % modulus;
  }
  return result;
}

function exponentFrom(bytes: Uint8Array): bigint {
  const copy = Uint8Array.from(bytes);
  copy[0] = (copy[0] ?? 0) | 0x80;
  return toNumber(copy);
}

function run(value: Agreement | Slow<Agreement>): Promise<Agreement> {
  assert.ok(value instanceof Slow);
  return value.run();
}

async function bothSides(row: KexMethod, prime: bigint, generator: bigint, bytes: number): Promise<void> {
  const ours = someBytes(bytes, 21);
  const theirs = someBytes(bytes, 22);
  const client = row.client((count) => {
    assert.equal(count, bytes);
    return ours;
  });
  const server = await run(row.answer(client.publicValue, () => theirs));
  const agreed = await run(client.agree(server.publicValue));
  const [x, y] = [exponentFrom(ours), exponentFrom(theirs)];
  assert.equal(toNumber(client.publicValue), power(generator, x, prime));
  assert.equal(toNumber(server.publicValue), power(generator, y, prime));
  const secret = power(power(generator, x, prime), y, prime);
  for (const side of [server, agreed]) {
    const reader = new Reader(side.secret);
    assert.equal(toNumber(reader.mpint()), secret);
    reader.expectEnd();
  }
  for (const value of [client.publicValue, server.publicValue]) assert.notEqual(value[0], 0);
}

for (const { name, node, exponentBytes } of groups) {
  const row = kexMethods.get(name);
  assert.ok(row);
  const prime = toNumber(getDiffieHellman(node).getPrime());

  test(`${name}: the values that arithmetic gives`, () => bothSides(row, prime, 2n, exponentBytes));

  test(`${name}: values outside 2 … p-2 are refused`, () => {
    const client = row.client(random);
    for (const bad of [0n, 1n, prime - 1n, prime, prime + 1n, prime * 256n]) {
      assert.throws(() => row.answer(toBytes(bad), random), PEER_KEX_VALUE, `${bad === prime}`);
      assert.throws(() => client.agree(toBytes(bad)), PEER_KEX_VALUE);
    }
    assert.throws(() => row.answer(new Uint8Array(), random), PEER_KEX_VALUE);
    assert.throws(() => row.answer(Uint8Array.of(0, 0, 1), random), PEER_KEX_VALUE);
    for (const good of [2n, 3n, prime - 2n]) {
      assert.ok(row.answer(toBytes(good), random) instanceof Slow);
      assert.ok(client.agree(toBytes(good)) instanceof Slow);
    }
  });
}

test("the bounds of a group", () => {
  const prime = Uint8Array.of(0x01, 0x07);
  for (const value of [[], [1], [0x01, 0x06], [0x01, 0x07], [0x02, 0x00], [1, 0, 0]]) {
    assert.equal(isInsideGroup(Uint8Array.from(value), prime), false, value.join());
  }
  for (const value of [[2], [0xff], [0x01, 0x00], [0x01, 0x05]]) {
    assert.equal(isInsideGroup(Uint8Array.from(value), prime), true, value.join());
  }
});

const groupExchange =
  groupExchanges.get("diffie-hellman-group-exchange-sha256") ?? assert.fail("no group exchange");

test("group exchange: server and client agree over a group that the server chose", async () => {
  const group = groupExchange.choose(
    groupExchange.minBits,
    groupExchange.preferredBits,
    groupExchange.maxBits,
  );
  assert.ok(group);
  assert.equal(toNumber(group.prime).toString(2).length, 3072);
  const row = groupExchange.methodFor(group.prime, group.generator);
  assert.equal(row.publicForm, "mpint");
  await bothSides(row, toNumber(group.prime), 2n, 32);
  const client = row.client(systemRandom);
  const server = await run(row.answer(client.publicValue, systemRandom));
  assert.deepEqual((await run(client.agree(server.publicValue))).secret, server.secret);
});

function bits(min: number, preferred: number, max: number): number | undefined {
  const group = groupExchange.choose(min, preferred, max);
  return group && toNumber(group.prime).toString(2).length;
}

test("group exchange: which of our groups fits a request", () => {
  assert.equal(bits(2048, 2048, 8192), 2048);
  assert.equal(bits(1024, 2048, 8192), 2048);
  assert.equal(bits(2048, 2049, 8192), 3072);
  assert.equal(bits(2048, 4096, 8192), 4096);
  assert.equal(bits(2048, 7680, 8192), 8192);
  assert.equal(bits(1024, 1024, 8192), 2048, "OpenSSH's oldest clients");
  assert.equal(bits(2048, 5000, 5000), 4096, "the largest below, when none above fits");
  assert.equal(bits(2048, 9000, 16384), 8192);
  assert.equal(bits(1024, 1024, 1024), undefined);
  assert.equal(bits(5000, 5000, 5001), undefined);
  assert.equal(bits(9000, 9000, 16384), undefined);
  assert.equal(bits(4096, 2048, 8192), undefined, "preferred below min");
  assert.equal(bits(2048, 8192, 4096), undefined, "preferred above max");
  assert.equal(bits(8192, 4096, 2048), undefined, "min above max");
});

/** An odd number of `bits` bits that is no prime of ours; whether it is one at all does not matter to the arithmetic here. */
function foreignModulus(bits: number): bigint {
  return (1n << BigInt(bits - 1)) + (toNumber(someBytes(100, 31)) << 64n) + 1n;
}

test("group exchange: a client takes a group that is not one of ours", async () => {
  // A generator of 3 instead of 2 makes it unknown to our table.
  const prime = getDiffieHellman("modp14").getPrime();
  await bothSides(groupExchange.methodFor(prime, Uint8Array.of(3)), toNumber(prime), 3n, 32);
});

test("group exchange: groups that cannot be are refused", () => {
  const good = getDiffieHellman("modp14").getPrime();
  const generator = Uint8Array.of(2);
  const even = Uint8Array.from(good);
  even[even.length - 1] = 0xfe;
  const p = toNumber(good);
  for (const [why, prime, g] of [
    ["too small", toBytes(foreignModulus(2047)), generator],
    ["too large", toBytes(foreignModulus(8193)), generator],
    ["much too large", toBytes(foreignModulus(100_000)), generator],
    ["empty", new Uint8Array(), generator],
    ["even", even, generator],
    ["generator 0", good, new Uint8Array()],
    ["generator 1", good, Uint8Array.of(1)],
    ["generator p-1", good, toBytes(p - 1n)],
    ["generator p", good, good],
  ] as const) {
    assert.throws(() => groupExchange.methodFor(prime, g), PEER_KEX_VALUE, why);
  }
});

test("group exchange: a modulus that is no prime ends in an agreement or in PEER_KEX_VALUE", async () => {
  const modulus = foreignModulus(2048);
  const row = groupExchange.methodFor(toBytes(modulus), Uint8Array.of(5));
  try {
    const client = row.client(random);
    await run(client.agree(toBytes(12345n)));
  } catch (error) {
    assert.ok(error instanceof PEER_KEX_VALUE, String(error instanceof Error ? error.stack : typeof error));
  }
});

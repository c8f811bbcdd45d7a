import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { PosternError } from "#base";
import { formatPublicKey, generatePrivateKey, parseRevocationList, signCertificate } from "#ssh/keys";
import { Writer } from "#ssh/wire";

const numRuns = Number(process.env["FUZZ_RUNS"] ?? 300);

const ca = generatePrivateKey("ssh-ed25519");
const holder = generatePrivateKey("ssh-ed25519").publicKey;
const serial = 0x1234n;
const certificate = await signCertificate(
  {
    kind: "user",
    key: holder,
    serial,
    keyId: "ada",
    principals: ["ada"],
    validAfter: 0n,
    validBefore: 2n ** 64n - 1n,
  },
  ca,
);

type Section = readonly [number, Uint8Array];

function sections(list: readonly Section[]): Uint8Array {
  const writer = new Writer();
  for (const [type, data] of list) writer.u8(type).string(data);
  return writer.bytes();
}

function krl(list: readonly Section[]): Uint8Array {
  const header = new Writer()
    .raw(Buffer.from("SSHKRL\n\0"))
    .u32(1)
    .u64(1n)
    .u64(0n)
    .u64(0n)
    .string("")
    .string("");
  return Uint8Array.from(header.raw(sections(list)).bytes());
}

const u64 = fc.oneof(
  fc.bigInt(0n, 2n ** 64n - 1n),
  fc.constantFrom(0n, 1n, serial - 1n, serial, serial + 1n, 2n ** 64n - 1n),
);
const part: fc.Arbitrary<Section> = fc.oneof(
  fc.array(u64, { maxLength: 4 }).map((all): Section => {
    const writer = new Writer();
    for (const each of all) writer.u64(each);
    return [0x20, writer.bytes()];
  }),
  fc.tuple(u64, u64).map(([low, high]): Section => [0x21, new Writer().u64(low).u64(high).bytes()]),
  fc
    .tuple(u64, fc.uint8Array({ maxLength: 20 }))
    .map(([offset, bits]): Section => [0x22, new Writer().u64(offset).mpint(bits).bytes()]),
  fc.string({ maxLength: 5 }).map((id): Section => [0x23, new Writer().string(id).bytes()]),
  fc.tuple(fc.nat(255), fc.uint8Array({ maxLength: 20 })),
);
const section: fc.Arbitrary<Section> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc
      .tuple(
        fc.constantFrom(ca.publicKey.blob, holder.blob, new Uint8Array(0)),
        fc.array(part, { maxLength: 4 }),
      )
      .map(
        ([authority, parts]): Section => [
          1,
          new Writer().string(authority).string("").raw(sections(parts)).bytes(),
        ],
      ),
  },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.constantFrom(2, 3, 5), fc.uint8Array({ maxLength: 40 }))
      .map(([type, entry]): Section => [type, new Writer().string(entry).bytes()]),
  },
  { weight: 1, arbitrary: fc.tuple(fc.nat(255), fc.uint8Array({ maxLength: 30 })) },
);

/** A list, or undefined; no other error than the operator's comes out. */
function read(bytes: Uint8Array): ReturnType<typeof parseRevocationList> | undefined {
  try {
    return parseRevocationList(bytes);
  } catch (error) {
    assert.ok(error instanceof PosternError, String(error));
    assert.equal(error.code, "OPERATOR_REVOCATION_LIST_INVALID");
    return undefined;
  }
}

test("KRLs of any sections: a list, or OPERATOR_", () => {
  let good = 0;
  fc.assert(
    fc.property(fc.array(section, { maxLength: 5 }), (list) => {
      const found = read(krl(list));
      if (found === undefined) return;
      good++;
      found.reasonAgainst(certificate);
      found.reasonAgainst(holder);
    }),
    { numRuns },
  );
  assert.ok(good > numRuns / 10, `${good} were read`);
});

test("a revocation is never lost among other sections", () => {
  const own: readonly Section[] = [
    [0x20, new Writer().u64(serial).bytes()],
    [0x21, new Writer().u64(serial).u64(serial).bytes()],
    [0x22, new Writer().u64(serial).mpint(Buffer.of(1)).bytes()],
    [0x23, new Writer().string("ada").bytes()],
  ];
  fc.assert(
    fc.property(
      fc.array(part, { maxLength: 4 }),
      fc.array(part, { maxLength: 4 }),
      fc.constantFrom(...own),
      fc.constantFrom(ca.publicKey.blob, new Uint8Array(0)),
      (before, after, mine, authority) => {
        const parts = sections([...before, mine, ...after]);
        const found = read(krl([[1, new Writer().string(authority).string("").raw(parts).bytes()]]));
        if (found !== undefined) assert.ok(found.reasonAgainst(certificate));
      },
    ),
    { numRuns },
  );
});

test("bytes changed, cut out and put in", () => {
  const whole = Buffer.from(
    krl([
      [
        1,
        new Writer()
          .string(ca.publicKey.blob)
          .string("")
          .raw(sections([[0x20, Buffer.alloc(64, 1)]]))
          .bytes(),
      ],
      [2, new Writer().string(holder.blob).bytes()],
    ]),
  );
  const change = fc.record({
    at: fc.nat(whole.length - 1),
    cut: fc.nat(9),
    put: fc.uint8Array({ maxLength: 9 }),
  });
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 3 }), (changes) => {
      let bytes: Buffer = whole;
      for (const { at, cut, put } of changes) {
        bytes = Buffer.concat([bytes.subarray(0, at), put, bytes.subarray(at + cut)]);
      }
      read(bytes)?.reasonAgainst(certificate);
    }),
    { numRuns },
  );
});

test("lists of keys: any text", () => {
  const line = formatPublicKey(holder.blob, "ada");
  const word = fc.oneof(
    fc.constantFrom(line, "\n", " ", "SHA256:", "#", "ssh-ed25519", "A".repeat(43)),
    fc.string(),
  );
  fc.assert(
    fc.property(fc.array(word, { maxLength: 8 }), (words) => {
      read(Buffer.from(words.join("")));
      // A line of its own counts, whatever stands around it, if the list is read at all.
      const found = read(Buffer.from(`${words.join("")}\n${line}\n`));
      if (found !== undefined) assert.ok(found.reasonAgainst(holder));
    }),
    { numRuns },
  );
});

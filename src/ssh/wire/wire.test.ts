import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { PosternError } from "#base";
import { Reader, Writer } from "#ssh/wire";

const code = (expected: string) => (error: unknown) =>
  error instanceof PosternError && error.code === expected;

test("what the writer writes the reader reads, and nothing is left", () => {
  fc.assert(
    fc.property(
      fc.record({
        u8: fc.nat(255),
        bool: fc.boolean(),
        u32: fc.nat(0xffff_ffff),
        u64: fc.bigInt(0n, 2n ** 64n - 1n),
        string: fc.uint8Array({ maxLength: 600 }),
        text: fc.string({ unit: "grapheme" }),
        names: fc.array(fc.stringMatching(/^[a-z0-9@.-]{1,20}$/), { maxLength: 8 }),
        mpint: fc.uint8Array({ maxLength: 70 }),
      }),
      (value) => {
        const bytes = new Writer(1)
          .u8(value.u8)
          .bool(value.bool)
          .u32(value.u32)
          .u64(value.u64)
          .string(value.string)
          .string(value.text)
          .nameList(value.names)
          .mpint(value.mpint)
          .bytes();
        const reader = new Reader(bytes);
        assert.equal(reader.u8(), value.u8);
        assert.equal(reader.bool(), value.bool);
        assert.equal(reader.u32(), value.u32);
        assert.equal(reader.u64(), value.u64);
        assert.deepEqual(Buffer.from(reader.string()), Buffer.from(value.string));
        assert.equal(reader.text(), value.text);
        assert.deepEqual(reader.nameList(), value.names);
        const magnitude = Buffer.from(reader.mpint());
        assert.equal(
          BigInt(`0x0${magnitude.toString("hex")}`),
          BigInt(`0x0${Buffer.from(value.mpint).toString("hex")}`),
        );
        reader.expectEnd();
      },
    ),
  );
});

test("mpints of RFC 4251, section 5", () => {
  const vectors: readonly (readonly [string, string])[] = [
    ["", "00000000"],
    ["09a378f9b2e332a7", "0000000809a378f9b2e332a7"],
    ["80", "000000020080"],
  ];
  for (const [magnitude, encoded] of vectors) {
    const bytes = new Writer().mpint(Buffer.from(magnitude, "hex")).bytes();
    assert.equal(Buffer.from(bytes).toString("hex"), encoded);
    assert.equal(Buffer.from(new Reader(bytes).mpint()).toString("hex"), magnitude);
  }
});

test("a negative mpint and one with needless zeros are refused", () => {
  for (const encoded of ["0000000180", "00000002007f", "0000000100"]) {
    const reader = new Reader(Buffer.from(encoded, "hex"));
    assert.throws(() => reader.mpint(), code("PEER_FIELD_INVALID"), encoded);
  }
});

test("every field ends with the window, not with the bytes", () => {
  const bytes = new Writer().string("abcdef").bytes();
  for (let end = 0; end < bytes.length; end++) {
    assert.throws(() => new Reader(bytes, 0, end).string(), code("PEER_MESSAGE_TRUNCATED"), `${end} bytes`);
  }
  assert.throws(() => new Reader(Buffer.alloc(3)).u32(), code("PEER_MESSAGE_TRUNCATED"));
  assert.throws(() => new Reader(Buffer.alloc(7)).u64(), code("PEER_MESSAGE_TRUNCATED"));
  assert.throws(() => new Reader(Buffer.alloc(0)).u8(), code("PEER_MESSAGE_TRUNCATED"));
  assert.throws(() => new Reader(Buffer.from("ffffffff00", "hex")).string(), code("PEER_MESSAGE_TRUNCATED"));
});

test("bytes after the last field are refused", () => {
  const reader = new Reader(Buffer.from([1, 2]));
  reader.u8();
  assert.throws(() => reader.expectEnd(), code("PEER_MESSAGE_TRAILING"));
});

test("names are printable ASCII, text is UTF-8", () => {
  const field = (bytes: number[]) => new Writer().string(Uint8Array.from(bytes)).bytes();
  assert.throws(() => new Reader(field([0x61, 0x0a])).ascii(), code("PEER_FIELD_INVALID"));
  assert.throws(() => new Reader(field([0xc3, 0xa9])).ascii(), code("PEER_FIELD_INVALID"));
  assert.throws(() => new Reader(field([0xc3])).text(), code("PEER_FIELD_INVALID"));
  assert.equal(new Reader(field([0xc3, 0xa9])).text(), "é");
  assert.throws(() => new Reader(new Writer().string("a,,b").bytes()).nameList(), code("PEER_FIELD_INVALID"));
  assert.throws(() => new Reader(new Writer().string(",").bytes()).nameList(), code("PEER_FIELD_INVALID"));
});

test("what does not fit a field is an error of ours", () => {
  assert.throws(() => new Writer().u32(2 ** 32), code("BUG_FIELD_UNENCODABLE"));
  assert.throws(() => new Writer().u32(-1), code("BUG_FIELD_UNENCODABLE"));
  assert.throws(() => new Writer().nameList(["a,b"]), code("BUG_FIELD_UNENCODABLE"));
  assert.throws(() => new Writer().nameList([""]), code("BUG_FIELD_UNENCODABLE"));
});

test("bytes that are held as text are written as they are, however many", () => {
  for (const length of [0, 3, 300]) {
    const text = "\xff\x00é".repeat(length);
    const written = new Writer(8).latin1(text).u8(7).bytes();
    assert.deepEqual(written, new Writer().string(Buffer.from(text, "latin1")).u8(7).bytes());
  }
});

import assert from "node:assert/strict";
import { Duplex } from "node:stream";
import { test } from "node:test";
import * as fc from "fast-check";
import { PosternError } from "#base";
import { Writer } from "#ssh/wire";
import { readOverSftp } from "../../src/gateway/sftp-read.ts";

const numRuns = Number(process.env["FUZZ_RUNS"] ?? 300);

/** A far end that says all of this, in pieces of that size, and ends. */
function channelOf(bytes: Uint8Array, piece: number): Duplex {
  let at = 0;
  return new Duplex({
    read() {
      if (at >= bytes.length) this.push(null);
      else this.push(bytes.subarray(at, (at += piece)));
    },
    write: (_chunk, _encoding, done) => done(),
  });
}

const packet = (payload: Uint8Array): Uint8Array => Uint8Array.from(new Writer().string(payload).bytes());

/** An answer as a server gives one, or nearly. */
const answer: fc.Arbitrary<Uint8Array> = fc.oneof(
  // The end of the file, as the first answer to a read.
  fc.constant(packet(new Writer().u8(101).u32(2).u32(1).string("").string("").bytes())),
  fc.constantFrom(3, 0xffff_ffff).map((version) => packet(new Writer().u8(2).u32(version).bytes())),
  fc
    .tuple(fc.nat(4), fc.uint8Array({ maxLength: 30 }), fc.constantFrom(102, 103))
    .map(([id, bytes, type]) => packet(new Writer().u8(type).u32(id).string(bytes).bytes())),
  fc
    .tuple(fc.nat(4), fc.nat(4))
    .map(([id, code]) => packet(new Writer().u8(101).u32(id).u32(code).string("no").string("").bytes())),
  fc.uint8Array({ maxLength: 20 }).map(packet),
  fc.uint8Array({ maxLength: 8 }),
);

test("whatever an upstream answers: a file within its bound, none, or UPSTREAM_FILE_UNREADABLE", async () => {
  let read = 0;
  const right = [
    packet(new Writer().u8(2).u32(3).bytes()),
    packet(new Writer().u8(102).u32(1).string("h").bytes()),
  ];
  await fc.assert(
    fc.asyncProperty(
      fc.boolean(),
      fc.array(answer, { maxLength: 6 }),
      fc.integer({ min: 1, max: 40 }),
      async (begun, answers, piece) => {
        const bytes = Buffer.concat([...(begun ? right : []), ...answers]);
        try {
          const file = await readOverSftp(channelOf(bytes, piece), "keys", 40);
          assert.ok(file === undefined || file.length <= 40);
          read++;
        } catch (error) {
          assert.ok(error instanceof PosternError, String(error));
          assert.equal(error.code, "UPSTREAM_FILE_UNREADABLE");
        }
      },
    ),
    { numRuns },
  );
  assert.ok(read > 0);
});

/** SFTP packets from strangers: they parse, or the peer is to blame. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { PosternError } from "#base";
import {
  decodeSftpHello,
  decodeSftpReply,
  decodeSftpRequest,
  encodeSftpReply,
  encodeSftpRequest,
  maxSftpPacketBytes,
  PacketStream,
} from "#ssh/sftp";

const numRuns = Number(process.env["FUZZ_RUNS"] ?? 1000);

function blamesPeer(run: () => unknown): unknown {
  try {
    return run();
  } catch (error) {
    assert.ok(error instanceof PosternError, String(error));
    assert.equal(error.blame, "PEER");
    return undefined;
  }
}

/** Bytes of a type that is known, so that most get past it. */
const packet = fc
  .tuple(
    fc.constantFrom(1, 2, 3, 4, 5, 6, 9, 10, 14, 18, 20, 101, 102, 103, 104, 105, 200, 201),
    fc.uint8Array({ maxLength: 200 }),
  )
  .map(([type, rest]) => Uint8Array.of(type, ...rest));
const extended = fc
  .tuple(
    fc.constantFrom(
      "posix-rename@openssh.com",
      "copy-data",
      "lsetstat@openssh.com",
      "users-groups-by-id@openssh.com",
    ),
    fc.uint8Array({ maxLength: 100 }),
  )
  .map(([name, rest]) =>
    Buffer.concat([Buffer.of(200, 0, 0, 0, 1, 0, 0, 0, name.length), Buffer.from(name), rest]),
  );

test("packets of a client", () => {
  fc.assert(
    fc.property(fc.oneof(packet, extended), (bytes) => {
      const request = blamesPeer(() => decodeSftpRequest(bytes)) as
        | ReturnType<typeof decodeSftpRequest>
        | undefined;
      if (request === undefined || request.kind === "other" || request.kind === "users-groups-by-id") return;
      assert.deepEqual(decodeSftpRequest(encodeSftpRequest(request).subarray(4)), request);
    }),
    { numRuns },
  );
});

test("packets of a server", () => {
  fc.assert(
    fc.property(packet, (bytes) => {
      blamesPeer(() => decodeSftpHello(bytes));
      const reply = blamesPeer(() => decodeSftpReply(bytes)) as
        | ReturnType<typeof decodeSftpReply>
        | undefined;
      if (reply !== undefined) assert.deepEqual(decodeSftpReply(encodeSftpReply(reply).subarray(4)), reply);
    }),
    { numRuns },
  );
});

test("streams of anything: what goes on is no more than what came, and what is kept is bounded", () => {
  const piece = fc.oneof(
    fc.uint8Array({ maxLength: 60 }),
    packet.map((bytes) => Buffer.concat([Buffer.of(0, 0, 0, bytes.length), bytes])),
  );
  fc.assert(
    fc.property(
      fc.array(piece, { maxLength: 20 }),
      fc.constantFrom("client" as const, "server" as const),
      fc.boolean(),
      (pieces, by, passes) => {
        let out = 0;
        const stream = new PacketStream(by, {
          packet: () => passes,
          body: () => {},
          bodyEnd: () => {},
          output: (bytes) => {
            out += bytes.length;
          },
        });
        let fed = 0;
        for (const bytes of pieces) {
          fed += bytes.length;
          const untouched = blamesPeer(() => stream.feed(bytes));
          if (untouched === undefined) return;
          if (untouched === true) out += bytes.length;
          assert.ok(out + stream.heldBytes <= fed);
          assert.ok(stream.heldBytes <= maxSftpPacketBytes + 4);
          if (passes) assert.equal(out + stream.heldBytes, fed);
        }
      },
    ),
    { numRuns },
  );
});

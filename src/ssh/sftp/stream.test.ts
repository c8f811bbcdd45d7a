import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  encodeSftpRequest,
  encodeSftpReply,
  FXP,
  maxSftpPacketBytes,
  type PacketSink,
  PacketStream,
} from "#ssh/sftp";
import { code } from "#test/support/decoder";

const numRuns = Number(process.env["FUZZ_RUNS"] ?? 300);

/** Writes down what it is shown, and what goes on. */
class Notes implements PacketSink {
  readonly packets: string[] = [];
  readonly out: Buffer[] = [];
  data = 0;
  ends = 0;
  verdict: (packet: Uint8Array) => boolean = () => true;
  packet(packet: Uint8Array): boolean {
    this.packets.push(Buffer.from(packet).toString("hex"));
    return this.verdict(packet);
  }
  body(data: Uint8Array): void {
    this.data += data.length;
  }
  bodyEnd(): void {
    this.ends++;
  }
  output(bytes: Uint8Array): void {
    this.out.push(Buffer.from(bytes));
  }
}

const write = (id: number, length: number): Buffer =>
  Buffer.concat([
    encodeSftpRequest({ kind: "write", id, handle: "handle", offset: 0n, length }),
    Buffer.alloc(length, id),
  ]);
const stat = (id: number): Buffer => Buffer.from(encodeSftpRequest({ kind: "stat", id, path: "/some/path" }));

/** Feeds bytes cut at these places; what goes on, whole. */
function feed(stream: PacketStream, notes: Notes, bytes: Buffer, cuts: readonly number[]): void {
  let at = 0;
  for (const cut of [...cuts.map((each) => each % (bytes.length + 1)).sort((a, b) => a - b), bytes.length]) {
    const chunk = bytes.subarray(at, cut);
    if (stream.feed(chunk)) notes.output(chunk);
    at = cut;
  }
}

const cuts = fc.array(fc.nat(5000), { maxLength: 12 });

test("whatever way the bytes are cut, the same packets are shown and the same bytes go on", () => {
  const bytes = Buffer.concat([stat(1), write(2, 900), write(3, 0), stat(4), write(5, 2000), stat(6)]);
  fc.assert(
    fc.property(cuts, (where) => {
      const notes = new Notes();
      feed(new PacketStream("client", notes), notes, bytes, where);
      assert.deepEqual(Buffer.concat(notes.out), bytes);
      assert.equal(notes.packets.length, 6);
      assert.equal(notes.data, 2900);
      assert.equal(notes.ends, 3);
    }),
    { numRuns },
  );
});

test("what is dropped goes, what is put in stands between packets", () => {
  const parts = [stat(1), write(2, 900), write(3, 0), stat(4), write(5, 2000), stat(6)];
  const own = Buffer.from(encodeSftpRequest({ kind: "limits", id: 99 }));
  fc.assert(
    fc.property(
      cuts,
      fc.subarray([1, 2, 3, 4, 5, 6]),
      fc.subarray([1, 2, 3, 4, 5, 6]),
      (where, drop, add) => {
        const notes = new Notes();
        const stream = new PacketStream("client", notes);
        notes.verdict = (packet) => {
          const id = Buffer.from(packet).readUInt32BE(1);
          if (add.includes(id)) stream.emit(own);
          return !drop.includes(id);
        };
        feed(stream, notes, Buffer.concat(parts), where);
        const expected = parts.flatMap((part, at) => [
          ...(add.includes(at + 1) ? [own] : []),
          ...(drop.includes(at + 1) ? [] : [part]),
        ]);
        assert.deepEqual(Buffer.concat(notes.out), Buffer.concat(expected));
      },
    ),
    { numRuns },
  );
});

test("a packet of ours that comes while data are on their way waits for their end", () => {
  const notes = new Notes();
  const stream = new PacketStream("client", notes);
  const data = write(1, 100);
  assert.equal(stream.feed(data.subarray(0, 60)), true);
  notes.output(data.subarray(0, 60));
  stream.emit(stat(2));
  assert.equal(stream.heldBytes, stat(2).length);
  assert.equal(stream.feed(data.subarray(60)), false);
  assert.deepEqual(Buffer.concat(notes.out), Buffer.concat([data, stat(2)]));
  assert.equal(stream.idle, true);
});

test("blocked, it shows nothing more until it is let go on", () => {
  fc.assert(
    fc.property(cuts, (where) => {
      const parts = [stat(1), write(2, 900), stat(3), stat(4)];
      const notes = new Notes();
      const stream = new PacketStream("client", notes);
      notes.verdict = () => {
        stream.block();
        return true;
      };
      feed(stream, notes, Buffer.concat(parts), where);
      for (let shown = 1; shown <= parts.length; shown++) {
        assert.equal(notes.packets.length, shown);
        assert.deepEqual(Buffer.concat(notes.out), Buffer.concat(parts.slice(0, shown)));
        stream.unblock();
      }
      assert.equal(stream.idle, true);
    }),
    { numRuns },
  );
});

test("chunks in which nothing changes are not put out again", () => {
  const notes = new Notes();
  const stream = new PacketStream("server", notes);
  const data = Buffer.concat([encodeSftpReply({ kind: "data", id: 1, length: 5000 }), Buffer.alloc(5000)]);
  for (let at = 0; at < data.length; at += 1000)
    assert.equal(stream.feed(data.subarray(at, at + 1000)), true);
  assert.equal(notes.out.length, 0);
});

test("sizes that cannot be are refused", () => {
  const refused = (by: "client" | "server", bytes: Buffer): void => {
    const stream = new PacketStream(by, new Notes());
    assert.throws(() => stream.feed(bytes), code("PEER_SFTP_PACKET_SIZE"));
  };
  const head = (length: number, ...more: readonly number[]): Buffer => {
    const bytes = Buffer.alloc(4 + more.length, Uint8Array.from([0, 0, 0, 0, ...more]));
    bytes.writeUInt32BE(length);
    return bytes;
  };
  refused("client", head(0, 1));
  refused("client", head(4, FXP.STAT));
  refused("client", head(maxSftpPacketBytes + 1, FXP.STAT));
  refused("client", head(0xffff_ffff, FXP.WRITE));
  // A handle of 257 bytes, a packet that ends before its data's length, and data of another length than said.
  refused("client", head(400, FXP.WRITE, 0, 0, 0, 1, 0, 0, 1, 1));
  refused("client", head(20, FXP.WRITE, 0, 0, 0, 1, 0, 0, 0, 0, 9, 9));
  const lying = write(1, 10);
  // Fewer than come are told by Go's client, for the last part of a file.
  lying.writeUInt32BE(9, lying.length - 14);
  assert.equal(new PacketStream("client", new Notes()).feed(lying), true);
  lying.writeUInt32BE(11, lying.length - 14);
  refused("client", lying);
  refused("server", head(6, FXP.DATA, 0, 0, 0, 1, 0, 0, 0, 1));
});

test("no more is kept than has come, whatever length is promised", () => {
  const notes = new Notes();
  const stream = new PacketStream("client", notes);
  const bytes = Buffer.alloc(100);
  bytes.writeUInt32BE(maxSftpPacketBytes);
  bytes[4] = FXP.STAT;
  assert.equal(stream.feed(bytes), false);
  assert.equal(stream.heldBytes, 100);
});

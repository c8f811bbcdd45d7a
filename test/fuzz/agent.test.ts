import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { PosternError } from "#base";
import { AgentClient, type AgentReply, decodeAgentReply } from "#ssh/agent";
import { Writer } from "#ssh/wire";

const numRuns = Number(process.env["FUZZ_RUNS"] ?? 300);

/** A reply as an agent sends it, bytes of it changed, or mere noise. */
const reply: fc.Arbitrary<Uint8Array> = fc
  .tuple(
    fc.oneof(
      fc
        .array(fc.tuple(fc.uint8Array({ maxLength: 40 }), fc.string({ maxLength: 10 })), { maxLength: 5 })
        .map((keys) => {
          const writer = new Writer().u8(12).u32(keys.length);
          for (const [blob, comment] of keys) writer.string(blob).string(comment);
          return writer.bytes();
        }),
      fc.uint8Array({ maxLength: 60 }).map((bytes) => new Writer().u8(14).string(bytes).bytes()),
      fc.constantFrom(5, 6, 28).map((number) => Uint8Array.of(number)),
      fc.uint8Array({ maxLength: 80 }),
    ),
    fc.array(fc.tuple(fc.nat(200), fc.nat(255)), { maxLength: 3 }),
  )
  .map(([bytes, changes]) => {
    const changed = Uint8Array.from(bytes);
    for (const [at, byte] of changes) if (changed.length > 0) changed[at % changed.length] = byte;
    return changed;
  });

function expectPeer(error: unknown): void {
  assert.ok(error instanceof PosternError && error.code === "PEER_AGENT_INVALID", String(error));
}

test("replies of an agent: decoded, or PEER_AGENT_INVALID", () => {
  fc.assert(
    fc.property(reply, (payload) => {
      try {
        decodeAgentReply(payload);
      } catch (error) {
        expectPeer(error);
      }
    }),
    { numRuns },
  );
});

test("a stream of replies, cut anywhere: the same replies, or the same refusal", () => {
  const stream = fc.array(fc.tuple(reply, fc.boolean()), { maxLength: 6 }).map((replies) => {
    const writer = new Writer();
    // Some lengths lie.
    for (const [payload, honest] of replies) writer.u32(payload.length + (honest ? 0 : 3)).raw(payload);
    return writer.bytes();
  });
  const read = (bytes: Uint8Array, size: number): { replies: AgentReply[]; refused: boolean } => {
    const agent = new AgentClient({ send: () => {} });
    for (let n = 0; n < 3; n++) agent.requestIdentities();
    for (let n = 0; n < 3; n++) agent.requestSignature(Uint8Array.of(1), "ssh-ed25519", Uint8Array.of(2));
    const replies: AgentReply[] = [];
    try {
      for (let at = 0; at < bytes.length; at += size)
        replies.push(...agent.receive(bytes.subarray(at, at + size)));
      return { replies, refused: false };
    } catch (error) {
      expectPeer(error);
      return { replies, refused: true };
    }
  };
  fc.assert(
    fc.property(stream, fc.integer({ min: 1, max: 9 }), (bytes, size) => {
      const pieces = read(bytes, size);
      const once = read(bytes, Math.max(1, bytes.length));
      assert.equal(once.refused, pieces.refused);
      if (!once.refused) assert.deepEqual(once.replies, pieces.replies);
    }),
    { numRuns },
  );
});

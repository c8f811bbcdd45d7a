import assert from "node:assert/strict";
import { test } from "node:test";
import {
  AgentClient,
  agentFlagsFor,
  decodeAgentReply,
  maxAgentIdentities,
  maxAgentReplyBytes,
} from "#ssh/agent";
import { Reader, Writer } from "#ssh/wire";
import { checkDecoder, code } from "#test/support/decoder";

const identities = new Writer()
  .u8(12)
  .u32(2)
  .string(Buffer.from("first key"))
  .string("ada@laptop")
  .string(Buffer.from("second"))
  .string(Buffer.from([0xff, 0xfe]))
  .bytes();
const signature = new Writer().u8(14).string(Buffer.from("signature blob")).bytes();

function framed(...payloads: readonly Uint8Array[]): Buffer {
  const writer = new Writer();
  for (const payload of payloads) writer.string(payload);
  return Buffer.from(writer.bytes());
}

function client(): { agent: AgentClient; sent: Uint8Array[] } {
  const sent: Uint8Array[] = [];
  return { agent: new AgentClient({ send: (bytes) => sent.push(bytes) }), sent };
}

test("replies decode whole, and neither shorter nor longer", () => {
  assert.deepEqual(checkDecoder(decodeAgentReply, identities, "PEER_AGENT_INVALID"), {
    kind: "identities",
    identities: [
      { blob: Uint8Array.from(Buffer.from("first key")), comment: "ada@laptop" },
      { blob: Uint8Array.from(Buffer.from("second")), comment: "\uFFFD\uFFFD" },
    ],
  });
  const signed = checkDecoder(decodeAgentReply, signature, "PEER_AGENT_INVALID");
  assert.deepEqual(signed, { kind: "signature", signature: Uint8Array.from(Buffer.from("signature blob")) });
  for (const [number, kind] of [
    [5, "failure"],
    [28, "failure"],
    [6, "success"],
  ] as const) {
    assert.deepEqual(checkDecoder(decodeAgentReply, Uint8Array.of(number), "PEER_AGENT_INVALID"), { kind });
  }
  // A request is no reply, nor is a number that nobody knows.
  for (const number of [0, 11, 13, 27, 255]) {
    assert.throws(() => decodeAgentReply(Uint8Array.of(number)), code("PEER_AGENT_INVALID"));
  }
});

test("more keys than any agent holds are refused before they are read", () => {
  const many = new Writer()
    .u8(12)
    .u32(maxAgentIdentities + 1)
    .bytes();
  assert.throws(() => decodeAgentReply(many), /2049 keys/);
});

test("requests: the list, and a signature with the flags of its algorithm", () => {
  const { agent, sent } = client();
  agent.requestIdentities();
  agent.requestSignature(Buffer.from("key"), "rsa-sha2-512-cert-v01@openssh.com", Buffer.from("data"));
  assert.deepEqual(Buffer.from(sent[0] ?? []), Buffer.from([0, 0, 0, 1, 11]));
  const reader = new Reader(new Reader(sent[1] ?? new Uint8Array()).string());
  assert.equal(reader.u8(), 13);
  assert.equal(reader.text(), "key");
  assert.equal(reader.text(), "data");
  assert.equal(reader.u32(), 4);
  reader.expectEnd();
  assert.equal(agentFlagsFor("rsa-sha2-256"), 2);
  assert.equal(agentFlagsFor("ssh-rsa"), 0);
  assert.equal(agentFlagsFor("ssh-ed25519"), 0);
});

test("replies come byte by byte, or all in one chunk", () => {
  const bytes = framed(identities, Uint8Array.of(5), signature);
  for (const size of [1, 2, 7, bytes.length]) {
    const { agent } = client();
    agent.requestIdentities();
    agent.requestSignature(Buffer.from("key"), "ssh-ed25519", Buffer.of());
    agent.requestSignature(Buffer.from("key"), "ssh-ed25519", Buffer.of());
    const kinds: string[] = [];
    for (let at = 0; at < bytes.length; at += size) {
      assert.ok(agent.waiting);
      kinds.push(...agent.receive(bytes.subarray(at, at + size)).map(({ kind }) => kind));
    }
    assert.deepEqual(kinds, ["identities", "failure", "signature"]);
    assert.ok(!agent.waiting);
  }
});

test("what was not asked for is refused", () => {
  const unasked = client().agent;
  assert.throws(() => unasked.receive(framed(identities)), /without being asked/);
  const { agent } = client();
  agent.requestIdentities();
  assert.throws(() => agent.receive(framed(signature)), /it answered with signature/);
  const twice = client().agent;
  twice.requestIdentities();
  assert.throws(() => twice.receive(framed(identities, identities)), code("PEER_AGENT_INVALID"));
  const success = client().agent;
  success.requestSignature(Buffer.from("key"), "ssh-ed25519", Buffer.of());
  assert.throws(() => success.receive(framed(Uint8Array.of(6))), code("PEER_AGENT_INVALID"));
});

test("a length that no agent sends is refused at once", () => {
  for (const length of [0, maxAgentReplyBytes + 1, 0xffff_ffff]) {
    const { agent } = client();
    agent.requestIdentities();
    assert.throws(() => agent.receive(new Writer().u32(length).bytes()), code("PEER_AGENT_INVALID"));
  }
});

test("an agent is told which connection it signs for; one that cannot be told may say so", () => {
  const binding = {
    hostKey: Buffer.from("host key"),
    sessionId: Buffer.from("session"),
    hostKeySignature: Buffer.from("signature"),
  };
  for (const [answer, kind] of [
    [6, "success"],
    [5, "failure"],
    [28, "failure"],
  ] as const) {
    const { agent, sent } = client();
    agent.bindSession(binding);
    const reader = new Reader(new Reader(sent[0] ?? new Uint8Array()).string());
    assert.equal(reader.u8(), 27);
    const fields = [reader.text(), reader.text(), reader.text(), reader.text()];
    assert.deepEqual(fields, ["session-bind@openssh.com", "host key", "session", "signature"]);
    assert.equal(reader.bool(), false, "for a login, not for forwarding");
    reader.expectEnd();
    assert.deepEqual(agent.receive(framed(Uint8Array.of(answer))), [{ kind }]);
  }
});

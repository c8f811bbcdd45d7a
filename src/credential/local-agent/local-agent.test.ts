import assert from "node:assert/strict";
import { test } from "node:test";
import { type Clock, silentLog, systemClock } from "#base";
import type { CredentialContext } from "#contract";
import { AgentSocket, createCredential, credentialKinds, openAgentKey } from "#credential";
import { maxAgentReplyBytes } from "#ssh/agent";
import {
  fingerprint,
  formatPublicKey,
  generatePrivateKey,
  type KeySigner,
  type PrivateKey,
  verifySignature,
} from "#ssh/keys";
import { Reader, Writer } from "#ssh/wire";
import { code } from "#test/support/decoder";
import {
  asksForList,
  failureReply,
  fakeAgent,
  type FakeAgentAnswer,
  framedReply,
  listOf,
  listReply,
  signatureReply,
} from "#test/support/fake-agent";
import { FakeClock } from "#test/support/fake-clock";
import { tempDir } from "#test/support/temp-dir";
import { until } from "#test/support/waiting";

const key = generatePrivateKey("ssh-ed25519", "test");
const other = generatePrivateKey("ecdsa-sha2-nistp256");
const data = Buffer.from("what is to be signed");

function at(socket: string, clock: Clock = systemClock): AgentSocket {
  return new AgentSocket({ socket, timeoutMs: 10_000, clock });
}

/** What an agent with one key does. */
function signs(signer: PrivateKey, listed: readonly KeySigner[] = [signer]) {
  return (payload: Uint8Array): FakeAgentAnswer => {
    if (asksForList(payload)) return listOf(...listed);
    const reader = new Reader(payload);
    reader.u8();
    assert.deepEqual(Uint8Array.from(reader.string()), Uint8Array.from(signer.blob));
    return signatureReply(signer.sign("ssh-ed25519", reader.string()) as Uint8Array);
  };
}

test("the key that is named signs, by fingerprint or by public line", async () => {
  await using agent = await fakeAgent(signs(key, [other, key]));
  for (const name of [
    fingerprint(key.blob),
    `${fingerprint(key.blob)}=`,
    formatPublicKey(key.blob, "ada"),
    formatPublicKey(key.blob),
  ]) {
    const opened = await openAgentKey(at(agent.socket), name);
    assert.deepEqual(opened.blob, key.blob);
    assert.deepEqual(opened.algorithms, ["ssh-ed25519"]);
    const signature = await opened.sign("ssh-ed25519", data);
    assert.ok(signature instanceof Uint8Array);
    assert.ok(verifySignature(key.publicKey, "ssh-ed25519", data, signature).valid);
  }
});

test("a key of a type that nobody knows does not hide the others", async () => {
  const strange = new Writer().string("ssh-new@example.org").string("x").bytes();
  await using agent = await fakeAgent(() =>
    listReply([strange, "strange"], [Buffer.from("?"), "noise"], [key.blob, "known"]),
  );
  const opened = await openAgentKey(at(agent.socket), fingerprint(key.blob));
  assert.deepEqual(opened.blob, key.blob);
  await assert.rejects(
    openAgentKey(at(agent.socket), fingerprint(strange)),
    code("OPERATOR_AGENT_BROKEN"),
    "even when it is the one that is named",
  );
});

test("an agent without the key is told so", async () => {
  await using agent = await fakeAgent(() => listOf(other));
  await assert.rejects(openAgentKey(at(agent.socket), fingerprint(key.blob)), (error: Error) => {
    assert.ok(code("OPERATOR_AGENT_KEY_MISSING")(error));
    return error.message.includes(fingerprint(key.blob)) && error.message.includes(agent.socket);
  });
});

test("nonsense: each kind ends the request with words", async () => {
  const answers: readonly (readonly [string, FakeAgentAnswer, RegExp])[] = [
    ["closes", "close", /without an answer/],
    ["another protocol", Buffer.from("HTTP/1.1 400 Bad Request\r\n\r\n"), /a reply of \d+ bytes/],
    ["a length without end", new Writer().u32(maxAgentReplyBytes + 1).bytes(), /a reply of 262145 bytes/],
    ["an empty reply", framedReply(new Uint8Array()), /a reply of 0 bytes/],
    ["noise", framedReply(Buffer.from("noise")), /is no reply/],
    ["the answer to something else", signatureReply(Buffer.from("x")), /answered with signature/],
    ["a list cut short", framedReply(new Writer().u8(12).u32(3).bytes()), /wanted/],
  ];
  for (const [what, answer, words] of answers) {
    await using agent = await fakeAgent(() => answer);
    await assert.rejects(at(agent.socket).identities(), (error: Error) => {
      assert.ok(code("OPERATOR_AGENT_BROKEN")(error), what);
      assert.match(error.message, words, what);
      assert.ok(error.message.includes(agent.socket), what);
      return true;
    });
  }
});

test("an agent that refuses: to list, and to sign", async () => {
  await using locked = await fakeAgent(() => failureReply);
  await assert.rejects(at(locked.socket).identities(), code("OPERATOR_AGENT_REFUSED"));
  await using careful = await fakeAgent((payload) => (asksForList(payload) ? listOf(key) : failureReply));
  const opened = await openAgentKey(at(careful.socket), fingerprint(key.blob));
  await assert.rejects(Promise.resolve(opened.sign("ssh-ed25519", data)), code("OPERATOR_AGENT_REFUSED"));
});

test("a signature that is none, over other data, or by another key is not handed on", async () => {
  for (const wrong of [
    Buffer.from("nothing"),
    key.sign("ssh-ed25519", Buffer.from("something else")) as Uint8Array,
    generatePrivateKey("ssh-ed25519").sign("ssh-ed25519", data) as Uint8Array,
  ]) {
    await using agent = await fakeAgent((payload) =>
      asksForList(payload) ? listOf(key) : signatureReply(wrong),
    );
    const opened = await openAgentKey(at(agent.socket), fingerprint(key.blob));
    await assert.rejects(Promise.resolve(opened.sign("ssh-ed25519", data)), code("OPERATOR_AGENT_BROKEN"));
  }
});

test("an agent that never answers is given up in time", async () => {
  await using agent = await fakeAgent(() => "silence");
  const clock = new FakeClock();
  const asked = assert.rejects(at(agent.socket, clock).identities(), code("OPERATOR_AGENT_SILENT"));
  await until("the request", () => agent.requests.length > 0);
  clock.advance(9_999);
  clock.advance(1);
  await asked;
});

test("no agent: the reason is told", async () => {
  await using folder = await tempDir();
  await assert.rejects(at(folder.at("none.sock")).identities(), (error: Error) => {
    assert.ok(code("OPERATOR_AGENT_UNREACHABLE")(error));
    return /there is no such socket/.test(error.message);
  });
});

test("the credential asks its agent when its turn has come, and no sooner", async () => {
  await using agent = await fakeAgent(signs(key));
  await using credential = await createCredential(
    { kind: "local-agent", socket: agent.socket, key: fingerprint(key.blob), timeoutSeconds: 10 },
    { clock: systemClock, log: silentLog, files: { read: async () => undefined } },
  );
  const context: CredentialContext = { sessionId: "s", user: "ada", captures: {}, upstreamUser: "root" };
  const [way] = await credential.ways(context);
  assert.ok(way?.method === "publickey" && "key" in way && typeof way.key === "function");
  assert.equal(agent.requests.length, 0);
  assert.deepEqual((await way.key()).blob, key.blob);
});

test("the configuration names the socket and the key", () => {
  const schema = credentialKinds.find(({ kind }) => kind === "local-agent")?.schema;
  assert.ok(schema !== undefined);
  const base = { kind: "local-agent", socket: "/run/agent.sock", key: fingerprint(key.blob) };
  assert.deepEqual(schema.parse(base), { ...base, timeoutSeconds: 10 });
  assert.ok(schema.safeParse({ ...base, key: formatPublicKey(key.blob, "ada") }).success);
  for (const key_ of ["MD5:00:11", "SHA256:short", "id_ed25519", "", undefined]) {
    assert.ok(!schema.safeParse({ ...base, key: key_ }).success, String(key_));
  }
  assert.ok(!schema.safeParse({ kind: "local-agent", key: base.key }).success, "the socket is never guessed");
});

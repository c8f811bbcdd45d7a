import assert from "node:assert/strict";
import { test } from "node:test";
import { PosternError } from "#base";
import {
  cipherAlgorithms,
  defaultAlgorithms,
  groupExchanges,
  kexMethods,
  macAlgorithms,
} from "#ssh/algorithms";
import { generatePrivateKey } from "#ssh/keys";
import {
  encodeGlobalRequest,
  encodeKexInit,
  encodePing,
  encodeServiceRequest,
  type KexInit,
  MSG,
} from "#ssh/messages";
import { bulkBytes, maxQueuedDuringKexBytes, Transport } from "#ssh/transport";
import {
  clientParty,
  deliver,
  established,
  outputOf,
  type Party,
  serverParty,
  settle,
  shuttle,
} from "#test/support/engines";

const code = (expected: string) => (error: unknown) =>
  error instanceof PosternError && error.code === expected;
const message = (length: number, fill = 7): Uint8Array =>
  new Uint8Array(length).fill(fill).fill(MSG.CHANNEL_DATA, 0, 1);
const kinds = (party: Party): string[] => party.events.map((event) => event.kind);

for (const kex of [...kexMethods.keys(), ...groupExchanges.keys()]) {
  test(`key exchange ${kex}, both roles, then data both ways`, async () => {
    const { client, server } = await established({ algorithms: { kex: [kex] } });
    assert.deepEqual(kinds(client), [
      "version",
      ...(slowKex(client) ? ["need-secret"] : []),
      "need-host-key",
      "kex-done",
      "extensions",
    ]);
    assert.deepEqual(Buffer.from(client.transport.sessionId), Buffer.from(server.transport.sessionId));
    client.transport.send(message(100));
    server.transport.send(message(40_000));
    await shuttle(client, server);
    assert.deepEqual(server.payloads, [message(100)]);
    assert.deepEqual(client.payloads, [message(40_000)]);
  });
}

const slowKex = (party: Party): boolean => party.events.some((event) => event.kind === "need-secret");

for (const cipher of cipherAlgorithms.keys()) {
  const aead = cipherAlgorithms.get(cipher)?.aead === true;
  for (const mac of aead ? ["hmac-sha2-256"] : macAlgorithms.keys()) {
    test(`${cipher}${aead ? "" : ` with ${mac}`}: payloads of all sizes, in chunks of all sizes`, async () => {
      const { client, server } = await established({ algorithms: { ciphers: [cipher], macs: [mac] } });
      const sizes = [1, 2, 11, 12, 13, 14, 15, 16, 17, 255, 256, 32_768, 100_000];
      for (const chunkBytes of [1, 7, 4096, 1_000_000]) {
        const chosen = chunkBytes === 1 ? sizes.filter((size) => size < 1000) : sizes;
        for (const size of chosen) client.transport.send(message(size));
        await deliver(server, outputOf(client.transport), chunkBytes);
        assert.deepEqual(
          server.payloads.splice(0),
          chosen.map((size) => message(size)),
        );
      }
    });
  }
}

for (const type of ["ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa"] as const) {
  test(`host key ${type}`, async () => {
    const hostKey = generatePrivateKey(type, "host");
    const { client, server } = await established({}, {}, hostKey);
    assert.deepEqual(Buffer.from(client.transport.hostKey), Buffer.from(hostKey.publicKey.blob));
    assert.ok(kinds(server).includes("kex-done"));
  });
}

test("a handshake byte by byte is the same handshake", async () => {
  const client = clientParty();
  const server = serverParty();
  await shuttle(client, server, 1);
  assert.ok(kinds(client).includes("kex-done") && kinds(server).includes("kex-done"));
});

test("rekeying by either side and by both at once loses and reorders nothing", async () => {
  const { client, server } = await established();
  const session = Buffer.from(client.transport.sessionId);
  for (const starters of [[client], [server], [client, server]]) {
    for (let n = 0; n < 5; n++) client.transport.send(message(1000, n));
    for (const starter of starters) starter.transport.rekey();
    // After its KEXINIT a side holds back what it is given; what the other sent before still comes.
    for (let n = 5; n < 10; n++) client.transport.send(message(1000, n));
    for (let n = 0; n < 3; n++) server.transport.send(message(9, n));
    await shuttle(client, server);
    assert.deepEqual(
      server.payloads.splice(0),
      [0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map((n) => message(1000, n)),
    );
    assert.deepEqual(
      client.payloads.splice(0),
      [0, 1, 2].map((n) => message(9, n)),
    );
  }
  const rekeys = client.events.filter((event) => event.kind === "kex-done" && !event.first);
  assert.equal(rekeys.length, 3);
  assert.deepEqual(Buffer.from(client.transport.sessionId), session, "the session identifier never changes");
});

test("rekeying is due by bytes, by packets and by time", async () => {
  const limits = { bytes: 10_000, packets: 20, ms: 1000 };
  const { client, server } = await established({ rekey: limits });
  assert.equal(client.transport.rekeyDue, false);
  client.transport.send(message(10_000));
  assert.equal(client.transport.rekeyDue, true, "bytes");
  client.transport.rekey();
  await shuttle(client, server);
  assert.equal(client.transport.rekeyDue, false);
  for (let n = 0; n < 20; n++) server.transport.send(message(5));
  await shuttle(client, server);
  assert.equal(client.transport.rekeyDue, true, "packets");
  client.transport.rekey();
  await shuttle(client, server);
  client.transport.tick(999);
  assert.equal(client.transport.rekeyDue, false);
  client.transport.tick(1000);
  assert.equal(client.transport.rekeyDue, true, "time");
});

test("a client that begins with a dear cipher is moved to a cheaper one in bulk, unless it has none", async () => {
  const chacha = "chacha20-poly1305@openssh.com";
  const cases = [
    { offers: [chacha, "aes128-ctr", "aes256-gcm@openssh.com"], moves: "aes256-gcm@openssh.com" },
    { offers: ["aes128-gcm@openssh.com", chacha], moves: undefined },
    { offers: [chacha], moves: undefined },
  ];
  for (const { offers, moves } of cases) {
    const { client, server } = await established({ algorithms: { ciphers: offers } });
    assert.equal(server.transport.bulkCipher, moves ?? offers[0]);
    for (let sent = 0; sent < bulkBytes; sent += 32_768) client.transport.send(message(32_768));
    await shuttle(client, server);
    assert.equal(server.transport.rekeyDue, moves !== undefined);
    server.transport.rekey();
    await shuttle(client, server);
    const last = server.events.findLast((event) => event.kind === "kex-done");
    assert.ok(last?.kind === "kex-done" && !last.first);
    assert.equal(last.negotiated.toClient.cipher, moves ?? offers[0]);
    assert.equal(server.transport.rekeyDue, false);
    client.transport.send(message(100));
    server.payloads.length = 0;
    await shuttle(client, server);
    assert.deepEqual(server.payloads, [message(100)]);
  }
});

test("what waits for the end of a key exchange is bounded", async () => {
  const { client } = await established();
  client.transport.rekey();
  const packet = message(32_768);
  const fits = Math.floor(maxQueuedDuringKexBytes / packet.length);
  for (let n = 0; n < fits; n++) client.transport.send(packet);
  assert.throws(() => client.transport.send(packet), code("PEER_FLOODED"));
});

test("a packet for the layers above waits until it is admitted, a key exchange does not", async () => {
  const { client, server } = await established();
  client.transport.send(message(10, 1));
  client.transport.send(message(10, 2));
  server.transport.receive(outputOf(client.transport));
  assert.equal(server.transport.next(false), undefined);
  server.transport.hold();
  assert.equal(server.transport.unread, true);
  assert.equal(server.transport.next(false), undefined);
  await settle(server);
  assert.deepEqual(server.payloads, [message(10, 1), message(10, 2)]);
  client.transport.rekey();
  server.transport.receive(outputOf(client.transport));
  assert.equal(server.transport.next(false), undefined);
  assert.equal(server.transport.rekeying, true, "KEXINIT was taken");
});

test("a ping is answered, unknown transport messages are not implemented, ignore is ignored", async () => {
  const { client, server } = await established();
  client.transport.send(encodePing(Buffer.from("abc")));
  client.transport.send(Uint8Array.of(MSG.IGNORE, 0, 0, 0, 0));
  client.transport.send(Uint8Array.of(19));
  await deliver(server, outputOf(client.transport));
  assert.deepEqual(server.payloads, []);
  client.transport.receive(outputOf(server.transport));
  assert.equal(client.transport.next(true), undefined, "PONG and UNIMPLEMENTED end here");
});

test("a disconnect is told with reason and text, and nothing after it", async () => {
  const { client, server } = await established();
  client.transport.send(message(3));
  client.transport.disconnect(11, "bye");
  client.transport.send(message(4));
  await deliver(server, outputOf(client.transport));
  assert.deepEqual(server.payloads, [message(3)]);
  assert.deepEqual(server.events.at(-1), { kind: "disconnected", reason: 11, description: "bye" });
});

test("no algorithm in common: both offers are named", async () => {
  const client = clientParty({ algorithms: { ciphers: ["aes256-ctr"] } });
  const server = serverParty(undefined, { algorithms: { ciphers: ["aes128-gcm@openssh.com"] } });
  await assert.rejects(shuttle(client, server), (error) => {
    assert.ok(error instanceof PosternError);
    assert.equal(error.code, "MISMATCH_ALGORITHM");
    assert.match(error.user, /cipher to the server.*aes256-ctr.*aes128-gcm/);
    return true;
  });
});

/** A client that sends what it is told, in plain, for what a good one never does. */
class RawClient {
  readonly server: Party;

  constructor(kex: readonly string[] = defaultAlgorithms.kex) {
    this.server = serverParty(undefined, { algorithms: { kex } });
  }

  async say(...payloads: Uint8Array[]): Promise<void> {
    await deliver(this.server, Buffer.from("SSH-2.0-Raw\r\n"));
    for (const payload of payloads) await deliver(this.server, plainPacket(payload));
  }
}

function plainPacket(payload: Uint8Array): Uint8Array {
  const padding = 16 - ((payload.length + 5) % 8);
  const packet = Buffer.alloc(5 + payload.length + padding);
  packet.writeUInt32BE(1 + payload.length + padding, 0);
  packet[4] = padding;
  packet.set(payload, 5);
  return packet;
}

function kexInit(change: Partial<KexInit> = {}): Uint8Array {
  return encodeKexInit({
    cookie: new Uint8Array(16),
    kex: ["curve25519-sha256"],
    hostKeys: ["ssh-ed25519"],
    ciphersToServer: defaultAlgorithms.ciphers,
    ciphersToClient: defaultAlgorithms.ciphers,
    macsToServer: defaultAlgorithms.macs,
    macsToClient: defaultAlgorithms.macs,
    compressionToServer: ["none"],
    compressionToClient: ["none"],
    firstKexPacketFollows: false,
    ...change,
  });
}

const strict = ["curve25519-sha256", "kex-strict-c-v00@openssh.com"];
const ecdhInit = Buffer.concat([Uint8Array.of(30, 0, 0, 0, 32), new Uint8Array(32).fill(9)]);

for (const [name, payloads] of Object.entries({
  "a service request before the first key exchange": [encodeServiceRequest("ssh-userauth")],
  "a service request during it": [kexInit(), encodeServiceRequest("ssh-userauth")],
  "a channel message": [message(10)],
  "a global request": [encodeGlobalRequest({ type: "x", wantReply: false, data: new Uint8Array(0) })],
  "NEWKEYS at once": [Uint8Array.of(MSG.NEWKEYS)],
  "NEWKEYS after KEXINIT": [kexInit(), Uint8Array.of(MSG.NEWKEYS)],
  "NEWKEYS with a byte over": [kexInit(), ecdhInit, Uint8Array.of(MSG.NEWKEYS, 0)],
  "KEXINIT twice": [kexInit(), kexInit()],
  "a key exchange message before KEXINIT": [ecdhInit],
  "a reply from a client": [kexInit(), Uint8Array.of(31)],
  "EXT_INFO before NEWKEYS": [kexInit(), Uint8Array.of(MSG.EXT_INFO, 0, 0, 0, 0)],
  "strict: ignore before KEXINIT": [Uint8Array.of(MSG.IGNORE, 0, 0, 0, 0), kexInit({ kex: strict })],
  "strict: debug during the exchange": [kexInit({ kex: strict }), Uint8Array.of(MSG.DEBUG, 0, 0, 0, 0, 0)],
  "strict: unimplemented during the exchange": [
    kexInit({ kex: strict }),
    Uint8Array.of(MSG.UNIMPLEMENTED, 0, 0, 0, 0),
  ],
})) {
  test(`not due: ${name}`, async () => {
    await assert.rejects(new RawClient().say(...payloads), code("PEER_UNEXPECTED_MESSAGE"));
  });
}

test("not due: NEWKEYS with more behind it, all in one chunk with KEXINIT", async () => {
  const { server } = new RawClient();
  const payloads = [kexInit(), ecdhInit, Uint8Array.of(MSG.NEWKEYS), encodeServiceRequest("ssh-userauth")];
  const chunk = Buffer.concat([Buffer.from("SSH-2.0-Raw\r\n"), ...payloads.map(plainPacket)]);
  await assert.rejects(deliver(server, chunk), code("PEER_UNEXPECTED_MESSAGE"));
});

test("a list of names that nobody knows is not repeated at any length", async () => {
  const many = Array.from({ length: 10_000 }, (_, n) => `unknown-${n}`);
  const error: unknown = await new RawClient().say(kexInit({ kex: many })).catch((thrown: unknown) => thrown);
  assert.ok(error instanceof PosternError && error.code === "MISMATCH_ALGORITHM");
  assert.match(error.message, /unknown-0,unknown-1,/);
  assert.ok(error.message.length < 4000 && error.user.length < 4000);
});

test("a packet that is shown again and again is counted once", async () => {
  const limits = { bytes: 200_000, packets: 2 ** 31, ms: 3_600_000 };
  const { client, server } = await established({}, { rekey: limits });
  client.transport.send(message(30_000));
  server.transport.receive(outputOf(client.transport));
  for (let n = 0; n < 10; n++) assert.equal(server.transport.next(false), undefined);
  assert.equal(server.transport.rekeyDue, false);
});

test("without strict key exchange, ignore and debug are fine at any moment", async () => {
  const client = new RawClient();
  await client.say(
    Uint8Array.of(MSG.IGNORE, 0, 0, 0, 0),
    kexInit(),
    Uint8Array.of(MSG.DEBUG, 0, 0, 0, 0, 0),
    ecdhInit,
  );
  assert.ok(client.server.events.some((event) => event.kind === "need-signature"));
});

test("an IGNORE before the first KEXINIT goes out in clear, and strict key exchange is not asked for", async () => {
  const data = Buffer.from("\r\nHost: web1\r\n\r\n");
  const client = clientParty({ firstIgnore: data, algorithms: { ciphers: ["aes128-gcm@openssh.com"] } });
  const server = serverParty();
  const first = Buffer.from(outputOf(client.transport));
  assert.ok(first.includes(data));
  assert.ok(first.indexOf(data) < first.indexOf("mlkem768"));
  assert.ok(!first.includes("kex-strict-c-v00@openssh.com"));
  await deliver(server, first);
  await shuttle(client, server);
  client.transport.send(message(100));
  server.transport.send(message(200));
  await shuttle(client, server);
  assert.deepEqual(server.payloads, [message(100)]);
  assert.deepEqual(client.payloads, [message(200)]);
});

test("a wrong guess is thrown away, a right one is used", async () => {
  const wrong = new RawClient();
  const guess = kexInit({ kex: ["not-known-here", "curve25519-sha256"], firstKexPacketFollows: true });
  await wrong.say(guess, Uint8Array.of(30, 1, 2, 3), ecdhInit);
  assert.ok(wrong.server.events.some((event) => event.kind === "need-signature"));
  const right = new RawClient(["curve25519-sha256"]);
  await right.say(kexInit({ firstKexPacketFollows: true }), ecdhInit);
  assert.ok(right.server.events.some((event) => event.kind === "need-signature"));
});

test("every flipped bit of a handshake's encrypted part is found", async () => {
  const { client, server } = await established();
  client.transport.send(message(64));
  const sealed = outputOf(client.transport);
  // One connection is good for one error only, so it is cloned by recording: each try is a fresh pair.
  for (let at = 0; at < sealed.length; at += 5) {
    const pair = await established();
    pair.client.transport.send(message(64));
    const bytes = outputOf(pair.client.transport);
    const byte = bytes[at] ?? 0;
    bytes[at] = byte ^ 0x10;
    await deliver(pair.server, bytes).then(
      // A length made longer waits for bytes that never come: nothing is shown.
      () => assert.deepEqual(pair.server.payloads, [], `byte ${at}`),
      (error: unknown) => assert.ok(error instanceof PosternError && error.blame === "PEER", `byte ${at}`),
    );
  }
  await deliver(server, sealed);
  assert.deepEqual(server.payloads, [message(64)]);
});

test("terrapin: dropping the first encrypted packet is noticed under strict key exchange", async () => {
  const client = clientParty();
  const server = serverParty();
  for (let round = 0; round < 2; round++) {
    await deliver(server, outputOf(client.transport));
    await deliver(client, outputOf(server.transport));
  }
  await deliver(server, outputOf(client.transport));
  client.transport.send(message(5, 1));
  outputOf(client.transport);
  client.transport.send(message(5, 2));
  await assert.rejects(
    deliver(server, outputOf(client.transport)),
    (error) => error instanceof PosternError && error.blame === "PEER",
  );
});

test("an engine asked out of turn says so", async () => {
  const { client } = await established();
  assert.throws(() => client.transport.signed(new Uint8Array(1)), code("BUG_ENGINE_MISUSED"));
  assert.throws(() => new Transport(serverOptions()).sessionId, code("BUG_ENGINE_MISUSED"));
});

function serverOptions(): ConstructorParameters<typeof Transport>[0] {
  return {
    role: "client",
    version: "SSH-2.0-x",
    algorithms: defaultAlgorithms,
    extensions: new Map(),
    random: (count) => new Uint8Array(count),
    now: 0,
  };
}

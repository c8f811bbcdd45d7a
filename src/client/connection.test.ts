import assert from "node:assert/strict";
import { test } from "node:test";
import {
  decodeChannelOpenConfirmation,
  encodeBoundPort,
  encodeChannelOpen,
  encodeRequestFailure,
  encodeRequestSuccess,
  encodeTcpipChannel,
  MSG,
} from "#ssh/messages";
import { type PacketHandler, payloadOf } from "#ssh/transport";
import { linkPair } from "#test/support/links";
import { ClientConnection } from "./connection.ts";

const opened = (port: number): Uint8Array =>
  encodeChannelOpen({
    type: "forwarded-tcpip",
    channel: 7,
    window: 1000,
    maxPacket: 1000,
    data: encodeTcpipChannel({ host: "anything", port, originAddress: "192.0.2.9", originPort: 5 }),
  });

interface Pair extends AsyncDisposable {
  readonly connection: ClientConnection;
  /** The server sends a payload. */
  say(payload: Uint8Array): void;
  until(number: number): Promise<Uint8Array>;
}

/** A client, and a server that answers each global request with these payloads. */
async function pairWith(...answers: Uint8Array[]): Promise<Pair> {
  const pair = await linkPair();
  const heard: Uint8Array[] = [];
  const waiting = new Set<() => void>();
  const handler: PacketHandler = {
    packet: (packet) => {
      const payload = Uint8Array.from(payloadOf(packet));
      heard.push(payload);
      if (payload[0] === MSG.GLOBAL_REQUEST) for (const answer of answers.splice(0)) pair.server.send(answer);
      for (const look of waiting) look();
    },
    closed: () => {},
  };
  pair.server.attach(handler);
  const connection = new ClientConnection({
    link: pair.client,
    address: { host: "server", port: 22 },
    where: "server",
    user: "ada",
    keepalive: { intervalMs: 0, maxMissed: 3 },
    notice: () => {},
    release: async () => {},
  });
  const until: Pair["until"] = (number) =>
    new Promise((resolve) => {
      const look = (): void => {
        const found = heard.find((payload) => payload[0] === number);
        if (found === undefined) return;
        waiting.delete(look);
        resolve(found);
      };
      waiting.add(look);
      look();
    });
  const say = (payload: Uint8Array): void => pair.server.send(payload);
  return { connection, say, until, [Symbol.asyncDispose]: () => pair[Symbol.asyncDispose]() };
}

for (const [what, port, answer] of [
  ["a port by number", 9000, encodeRequestSuccess()],
  ["a port of the server's choice", 0, encodeRequestSuccess(encodeBoundPort(9000))],
] as const) {
  test(`${what}: a connection that comes in one breath with the answer is taken`, async () => {
    await using pair = await pairWith(answer, opened(9000));
    const taken = Promise.withResolvers<string>();
    const listener = await pair.connection.listenTcp({ host: "localhost", port }, (remote) => {
      taken.resolve(`${remote.origin.address}:${remote.origin.port}`);
      remote.accept();
    });
    assert.equal(await taken.promise, "192.0.2.9:5");
    assert.equal(listener.port, 9000);
    const confirmation = decodeChannelOpenConfirmation(await pair.until(MSG.CHANNEL_OPEN_CONFIRMATION));
    assert.equal(confirmation.recipient, 7);
  });
}

test("what nobody asked for, or what was refused, is refused", async () => {
  await using pair = await pairWith(encodeRequestFailure());
  await assert.rejects(
    pair.connection.listenTcp({ host: "localhost", port: 9000 }, () => assert.fail("taken")),
    { code: "DENIED_CLIENT_CHANNEL" },
  );
  pair.say(opened(9000));
  await pair.until(MSG.CHANNEL_OPEN_FAILURE);
});

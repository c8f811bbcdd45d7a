import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { PosternError } from "#base";
import {
  decodeChannelData,
  decodeChannelOpen,
  decodeChannelOpenConfirmation,
  decodeChannelRequest,
  decodeRecipient,
  decodeWindowAdjust,
  encodeChannelData,
  encodeChannelOpen,
  encodeChannelOpenConfirmation,
  encodeChannelOpenFailure,
  encodeChannelRequest,
  encodeChannelSignal,
  encodeGlobalRequest,
  encodeRequestSuccess,
  encodeWindowAdjust,
  MSG,
} from "#ssh/messages";
import type { ConnClose, PacketConn } from "#ssh/transport";
import { payloadOf } from "#ssh/transport";
import { packetPipe } from "#test/support/packet-pipe";
import { tappedPipe } from "#test/support/tapped-pipe";
import type { SessionServing } from "./held-session.ts";
import { maxHeldBytes, WaitingClient } from "./waiting-client.ts";

const none = new Uint8Array();

/** What came at one end, copied. */
class End {
  readonly payloads: Uint8Array[] = [];
  close: ConnClose | undefined;
  readonly conn: PacketConn;

  constructor(conn: PacketConn) {
    this.conn = conn;
    conn.attach({
      packet: (packet) => {
        this.payloads.push(Uint8Array.from(payloadOf(packet)));
      },
      closed: (close) => {
        this.close = close;
      },
    });
  }

  get numbers(): number[] {
    return this.payloads.map((payload) => payload[0] ?? 0);
  }

  last(number: number): Uint8Array {
    const found = this.payloads.findLast((payload) => payload[0] === number);
    assert.ok(found, `message ${number} among ${this.numbers.join(",")}`);
    return found;
  }

  send(...payloads: readonly Uint8Array[]): void {
    for (const payload of payloads) this.conn.send(payload);
  }
}

async function settled(): Promise<void> {
  for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
}

function start(serving?: SessionServing): {
  client: End;
  waiting: WaitingClient;
  readonly join: () => { upstream: End };
} {
  const [near, far] = packetPipe();
  const client = new End(near);
  const waiting = new WaitingClient(far, serving);
  return {
    client,
    waiting,
    join: () => {
      const [ours, theirs] = packetPipe();
      const upstream = new End(theirs);
      tappedPipe({ downstream: waiting.resume(), upstream: ours });
      return { upstream };
    },
  };
}

const open = (channel = 0, type = "session"): Uint8Array =>
  encodeChannelOpen({ type, channel, window: 1000, maxPacket: 500, data: none });
const request = (type: string, wantReply = false, recipient = 0): Uint8Array =>
  encodeChannelRequest({ recipient, type, wantReply, data: none });
const global_ = (type: string, wantReply = true): Uint8Array =>
  encodeGlobalRequest({ type, wantReply, data: none });
const confirm = (channel: number, window = 5000, maxPacket = 32_768, recipient = 0): Uint8Array =>
  encodeChannelOpenConfirmation({ recipient, channel, window, maxPacket, data: none });
const data = (text: string | Uint8Array, recipient = 0): Uint8Array =>
  encodeChannelData({ recipient, data: typeof text === "string" ? Buffer.from(text) : text });
const types = (payloads: readonly Uint8Array[]): string[] =>
  payloads.filter((each) => each[0] === MSG.CHANNEL_REQUEST).map((each) => decodeChannelRequest(each).type);

test("the first session is confirmed without a window, and all that comes reaches the upstream in order", async () => {
  const { client, waiting, join } = start();
  client.send(global_("tcpip-forward"), open(), request("auth-agent-req@openssh.com"));
  await settled();
  const confirmation = decodeChannelOpenConfirmation(client.last(MSG.CHANNEL_OPEN_CONFIRMATION));
  assert.deepEqual([confirmation.recipient, confirmation.channel, confirmation.window], [0, 0, 0]);
  const session = await waiting.session;
  assert.equal(await session.agentOffered, true);
  client.send(
    request("pty-req", true),
    request("shell", true),
    open(1, "direct-tcpip"),
    global_("no-more-sessions@openssh.com", false),
  );
  client.send(encodeWindowAdjust({ recipient: 0, bytes: 24 }), encodeChannelSignal(MSG.CHANNEL_EOF, 0));
  await settled();
  assert.equal(client.payloads.length, 1, "nothing more is answered");
  const { upstream } = join();
  await settled();
  assert.deepEqual(upstream.numbers, [80, 90], "what is the session's waits for its number");
  assert.equal(decodeChannelOpen(upstream.last(90)).window, 1024, "with the window as it is now");
  upstream.send(confirm(0), encodeRequestSuccess());
  await settled();
  assert.deepEqual(upstream.numbers, [80, 90, 98, 98, 98, 90, 80, 96]);
  assert.deepEqual(types(upstream.payloads), ["auth-agent-req@openssh.com", "pty-req", "shell"]);
  // The confirmation has become window, and the answer of the upstream is the only one.
  assert.deepEqual(client.numbers, [91, 93, 81]);
  assert.equal(decodeWindowAdjust(client.last(93)).bytes, 5000);
  upstream.send(
    encodeChannelSignal(MSG.CHANNEL_SUCCESS, 0),
    encodeChannelSignal(MSG.CHANNEL_SUCCESS, 0),
    data("hello"),
  );
  client.send(data("typed"));
  await settled();
  assert.deepEqual(client.numbers, [91, 93, 81, 99, 99, 94]);
  assert.equal(Buffer.from(decodeChannelData(upstream.last(94)).data).toString(), "typed");
});

test("a program without an offer of an agent, and a channel that is closed: there will be none", async () => {
  for (const last of [request("exec", true), encodeChannelSignal(MSG.CHANNEL_CLOSE, 0)]) {
    const { client, waiting } = start();
    client.send(open(), request("env"), last);
    assert.equal(await (await waiting.session).agentOffered, false);
  }
});

test("a keepalive is answered at once, but not past an answer that is due", async () => {
  const { client } = start();
  client.send(global_("keepalive@openssh.com"));
  await settled();
  assert.deepEqual(client.numbers, [MSG.REQUEST_FAILURE]);
  client.send(global_("tcpip-forward"), global_("keepalive@openssh.com"));
  await settled();
  assert.deepEqual(client.numbers, [MSG.REQUEST_FAILURE]);
});

test("another number for the session: the two change places, for every channel and both directions", async () => {
  const { client, join } = start();
  client.send(open(), request("shell", true));
  await settled();
  const { upstream } = join();
  await settled();
  upstream.send(confirm(42));
  await settled();
  assert.equal(decodeRecipient(upstream.last(MSG.CHANNEL_REQUEST)), 42);
  client.send(data("a"), open(7, "direct-tcpip"));
  await settled();
  assert.equal(decodeRecipient(upstream.last(MSG.CHANNEL_DATA)), 42);
  // The upstream's own 0 is another channel: to the client it is 42.
  upstream.send(confirm(0, 100, 100, 7));
  await settled();
  const second = decodeChannelOpenConfirmation(client.last(MSG.CHANNEL_OPEN_CONFIRMATION));
  assert.deepEqual([second.recipient, second.channel], [7, 42]);
  client.send(data("b", 42));
  await settled();
  assert.equal(decodeRecipient(upstream.last(MSG.CHANNEL_DATA)), 0);
  upstream.send(
    encodeChannelOpen({ type: "auth-agent@openssh.com", channel: 3, window: 1, maxPacket: 1, data: none }),
  );
  await settled();
  assert.equal(decodeChannelOpen(client.last(MSG.CHANNEL_OPEN)).channel, 3);
  client.send(confirm(9, 1, 1, 3));
  await settled();
  assert.equal(decodeRecipient(upstream.last(MSG.CHANNEL_OPEN_CONFIRMATION)), 3);
  upstream.send(data("back"));
  await settled();
  assert.equal(decodeRecipient(client.last(MSG.CHANNEL_DATA)), 0);
});

test("data in longer messages than the upstream takes are cut", async () => {
  const { client, join } = start();
  client.send(open());
  await settled();
  const { upstream } = join();
  await settled();
  upstream.send(confirm(5, 100_000, 1000));
  await settled();
  const whole = Buffer.from(Array.from({ length: 2500 }, (_, at) => at % 251));
  client.send(data(whole));
  await settled();
  const pieces = upstream.payloads
    .filter((each) => each[0] === MSG.CHANNEL_DATA)
    .map((each) => decodeChannelData(each));
  assert.deepEqual(
    pieces.map(({ data: piece }) => piece.length),
    [1000, 1000, 500],
  );
  assert.deepEqual(Buffer.concat(pieces.map(({ data: piece }) => piece)), whole);
  assert.ok(pieces.every(({ recipient }) => recipient === 5));
});

test("what comes while the upstream opens the session waits for its number, and keeps its order", async () => {
  const { client, join } = start();
  client.send(open(), request("auth-agent-req@openssh.com"));
  await settled();
  const { upstream } = join();
  await settled();
  client.send(request("pty-req", true), open(1, "direct-tcpip"), request("shell", true));
  await settled();
  assert.deepEqual(upstream.numbers, [MSG.CHANNEL_OPEN]);
  upstream.send(confirm(5));
  await settled();
  assert.deepEqual(upstream.numbers, [90, 98, 98, 90, 98]);
  assert.deepEqual(types(upstream.payloads), ["auth-agent-req@openssh.com", "pty-req", "shell"]);
  for (const each of upstream.payloads)
    if (each[0] === MSG.CHANNEL_REQUEST) assert.equal(decodeRecipient(each), 5);
});

test("an upstream that takes messages of no bytes: told on stderr, and closed", {
  timeout: 5000,
}, async () => {
  const { client, join } = start();
  client.send(open());
  await settled();
  const { upstream } = join();
  await settled();
  client.send(request("shell", true), data("typed ahead"));
  await settled();
  upstream.send(confirm(5, 100_000, 0));
  await settled();
  const said = Buffer.from(decodeChannelData(client.last(MSG.CHANNEL_EXTENDED_DATA)).data).toString();
  assert.match(said, /server behind this gateway .* takes no data/);
  assert.deepEqual(upstream.numbers, [MSG.CHANNEL_OPEN, MSG.CHANNEL_CLOSE]);
  assert.equal(decodeRecipient(upstream.last(MSG.CHANNEL_CLOSE)), 5);
  upstream.send(encodeChannelSignal(MSG.CHANNEL_CLOSE, 0));
  await settled();
  assert.equal(client.numbers.at(-1), MSG.CHANNEL_CLOSE);
});

test("a client that takes messages of no bytes is told nothing, and hears the end", {
  timeout: 5000,
}, async () => {
  const { client, waiting } = start();
  client.send(encodeChannelOpen({ type: "session", channel: 0, window: 1000, maxPacket: 0, data: none }));
  await settled();
  const session = await waiting.session;
  assert.equal(session.writableBytes, 0);
  session.fail("why", 1);
  await settled();
  assert.deepEqual(client.numbers, [91, 98, 96, 97]);
});

test("a window beyond what a number can say is the client's fault", async () => {
  const { client, waiting } = start();
  client.send(open(), encodeWindowAdjust({ recipient: 0, bytes: 0xffff_ffff }));
  const close = await waiting.closed;
  assert.ok(close.kind === "failed" && close.error instanceof PosternError, close.kind);
  assert.equal(close.error.code, "PEER_WINDOW_OVERFLOW");
});

test("an upstream that opens no session: told on stderr, with a status, and closed; other channels go on", async () => {
  const { client, join } = start();
  client.send(open(), request("shell", true), open(1, "direct-tcpip"));
  await settled();
  const { upstream } = join();
  await settled();
  upstream.send(encodeChannelOpenFailure({ recipient: 0, reason: 1, description: "no\x1b[2Jsessions" }));
  await settled();
  assert.deepEqual(client.numbers, [91, 99, 95, 98, 96, 97]);
  const said = Buffer.from(decodeChannelData(client.last(MSG.CHANNEL_EXTENDED_DATA)).data).toString();
  assert.equal(said, "The server behind this gateway opened no session: no [2Jsessions\r\n");
  assert.deepEqual(types(client.payloads), ["exit-status"]);
  client.send(encodeChannelSignal(MSG.CHANNEL_CLOSE, 0));
  await settled();
  assert.deepEqual(upstream.numbers, [90, 90], "the upstream hears nothing of a channel that it never had");
});

/** Grants everything, takes what is typed until told otherwise. */
function menu(): SessionServing & { typed: string; taking: boolean } {
  return {
    windowBytes: 10,
    typed: "",
    taking: true,
    request: () => true,
    data(bytes) {
      if (this.taking) this.typed += Buffer.from(bytes).toString();
      return this.taking;
    },
  };
}

test("a session that was served here goes on at the upstream: granted once, the last size, what was typed ahead", async () => {
  const serving = menu();
  const { client, waiting, join } = start(serving);
  client.send(
    open(),
    request("pty-req", true),
    request("window-change"),
    request("shell", true),
    data("down"),
  );
  await settled();
  const session = await waiting.session;
  assert.deepEqual(client.numbers, [91, 99, 99]);
  assert.equal(serving.typed, "down");
  session.consumed(4);
  session.write(Buffer.from("menu"));
  serving.taking = false;
  client.send(request("window-change"), data("ahead"));
  await settled();
  const { upstream } = join();
  await settled();
  assert.equal(
    decodeChannelOpen(upstream.last(90)).window,
    996,
    "what the menu wrote is gone from the window",
  );
  upstream.send(confirm(0, 100));
  await settled();
  assert.deepEqual(types(upstream.payloads), ["pty-req", "shell", "window-change"]);
  assert.equal(Buffer.from(decodeChannelData(upstream.last(94)).data).toString(), "ahead");
  assert.equal(
    decodeWindowAdjust(client.last(93)).bytes,
    90,
    "ten of the hundred bytes were promised before",
  );
  upstream.send(
    encodeChannelSignal(MSG.CHANNEL_SUCCESS, 0),
    encodeChannelSignal(MSG.CHANNEL_SUCCESS, 0),
    data("$ "),
  );
  await settled();
  assert.deepEqual(client.numbers.slice(-2), [93, 94], "no second answer");
});

test("an upstream with less window than was promised is given no more than it takes", async () => {
  const serving = menu();
  serving.taking = false;
  const { client, join } = start(serving);
  client.send(open(), request("shell"), data("abcd"), data("efgh"));
  await settled();
  const { upstream } = join();
  await settled();
  upstream.send(confirm(0, 5));
  await settled();
  const arrived = (): string =>
    upstream.payloads
      .filter((each) => each[0] === MSG.CHANNEL_DATA)
      .map((each) => Buffer.from(decodeChannelData(each).data).toString())
      .join("");
  assert.equal(arrived(), "abcd");
  upstream.send(encodeWindowAdjust({ recipient: 0, bytes: 4 }));
  await settled();
  assert.equal(arrived(), "abcdefgh");
  assert.ok(!client.numbers.includes(MSG.CHANNEL_WINDOW_ADJUST), "the client had its ten bytes already");
  upstream.send(encodeWindowAdjust({ recipient: 0, bytes: 3 }));
  await settled();
  assert.equal(decodeWindowAdjust(client.last(93)).bytes, 2);
});

test("what was granted here and is refused there ends in words", async () => {
  const { client, join } = start(menu());
  client.send(open(), request("shell", true));
  await settled();
  const { upstream } = join();
  await settled();
  upstream.send(confirm(0));
  await settled();
  upstream.send(encodeChannelSignal(MSG.CHANNEL_FAILURE, 0));
  await settled();
  assert.match(Buffer.from(client.last(MSG.CHANNEL_EXTENDED_DATA)).toString(), /refused to start/);
  assert.equal(upstream.numbers.at(-1), MSG.CHANNEL_CLOSE);
  upstream.send(encodeChannelSignal(MSG.CHANNEL_CLOSE, 0));
  await settled();
  assert.equal(client.numbers.at(-1), MSG.CHANNEL_CLOSE);
  client.send(encodeChannelSignal(MSG.CHANNEL_CLOSE, 0));
  await settled();
  assert.equal(upstream.numbers.filter((number) => number === MSG.CHANNEL_CLOSE).length, 1);
});

test("what is held is bounded: then the client is left unread, and nothing is lost", async () => {
  const { client, join } = start();
  const big = encodeGlobalRequest({ type: "x", wantReply: false, data: new Uint8Array(10_000) });
  const count = 300;
  for (let n = 0; n < count; n++) client.send(big);
  await settled();
  const { upstream } = join();
  assert.ok(count * big.length > 2 * maxHeldBytes);
  await settled();
  assert.equal(upstream.payloads.length, count);
});

test("a channel of ours to the client: its messages are not the upstream's", async () => {
  const { client, waiting, join } = start();
  client.send(open(), request("auth-agent-req@openssh.com"));
  await settled();
  const heard: string[] = [];
  const channel = waiting.openChannel("auth-agent@openssh.com", {
    data: (bytes) => heard.push(Buffer.from(bytes).toString()),
    eof: () => heard.push("eof"),
  });
  channel.write(Buffer.from("question"));
  await settled();
  const asked = decodeChannelOpen(client.last(MSG.CHANNEL_OPEN));
  client.send(confirm(4, 3, 100, asked.channel));
  assert.equal(await channel.opened, true);
  await settled();
  assert.equal(
    Buffer.from(decodeChannelData(client.last(94)).data).toString(),
    "que",
    "no more than its window",
  );
  client.send(
    encodeWindowAdjust({ recipient: asked.channel, bytes: 100 }),
    data("answer", asked.channel),
    encodeChannelSignal(MSG.CHANNEL_EOF, asked.channel),
  );
  await settled();
  assert.deepEqual(heard, ["answer", "eof"]);
  channel.close();
  await settled();
  assert.equal(waiting.openChannels, 1);
  client.send(encodeChannelSignal(MSG.CHANNEL_CLOSE, asked.channel));
  await settled();
  assert.equal(waiting.openChannels, 0);
  const { upstream } = join();
  await settled();
  upstream.send(confirm(0));
  await settled();
  assert.deepEqual(upstream.numbers, [90, 98]);
});

test("whatever a client sends while it waits: it is held, or it is the client's fault", () => {
  const numbers = fc.constantFrom(50, 53, 80, 81, 82, 90, 91, 92, 93, 94, 95, 96, 97, 98, 99, 100);
  const anything = fc
    .tuple(numbers, fc.uint8Array({ maxLength: 40 }))
    .map(([n, rest]) => Uint8Array.of(n, ...rest));
  const likely = fc.constantFrom(
    open(),
    request("shell", true),
    request("x"),
    data(""),
    data("x"),
    confirm(1, 1, 1, 1),
    global_("x"),
  );
  fc.assert(
    fc.property(fc.array(fc.oneof(anything, likely), { maxLength: 12 }), (payloads) => {
      const [, far] = packetPipe();
      let handler: Parameters<PacketConn["attach"]>[0] | undefined;
      const conn: PacketConn = new Proxy(far, {
        get: (target, key) => {
          if (key === "attach") return (given: typeof handler) => (handler = given);
          const value: unknown = Reflect.get(target, key);
          return typeof value === "function" ? (value.bind(target) as unknown) : value;
        },
      });
      const waiting = new WaitingClient(conn);
      waiting.openChannel("auth-agent@openssh.com", { data: () => {}, eof: () => {} });
      for (const payload of payloads) {
        try {
          handler?.packet({ bytes: payload, start: 0, end: payload.length, padding: 0 });
        } catch (error) {
          assert.ok(error instanceof PosternError && error.blame === "PEER", String(error));
          return;
        }
      }
    }),
    { numRuns: 500 },
  );
});

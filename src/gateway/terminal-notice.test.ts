import assert from "node:assert/strict";
import { test } from "node:test";
import type { Tap } from "#pipe";
import {
  decodeChannelData,
  decodeWindowAdjust,
  encodeChannelOpen,
  encodeChannelOpenConfirmation,
  encodeChannelRequest,
  encodeChannelSignal,
  encodeWindowAdjust,
  MSG,
} from "#ssh/messages";
import { TerminalNotices } from "./terminal-notice.ts";

const none = new Uint8Array();

/** What becomes of a payload in the lane of these taps. */
function through(taps: readonly Tap[], payload: Uint8Array): readonly Uint8Array[] {
  for (const tap of taps) {
    if (!tap.numbers.includes(payload[0] ?? 0)) continue;
    const verdict = tap.see({ bytes: payload, start: 0, end: payload.length, padding: 0 });
    if (verdict.kind !== "pass") return verdict.payloads;
  }
  return [payload];
}

/** A session channel, 3 at the client and 7 at the upstream. */
function opened(type = "session"): TerminalNotices {
  const notices = new TerminalNotices();
  const open = encodeChannelOpen({ type, channel: 3, window: 100, maxPacket: 100, data: none });
  assert.deepEqual(through(notices.tapsToUpstream(), open), [open]);
  const confirm = encodeChannelOpenConfirmation({
    recipient: 3,
    channel: 7,
    window: 1,
    maxPacket: 1,
    data: none,
  });
  assert.deepEqual(through(notices.tapsToDownstream(), confirm), [confirm]);
  return notices;
}

function withTerminal(): TerminalNotices {
  const notices = opened();
  const request = encodeChannelRequest({ recipient: 7, type: "pty-req", wantReply: true, data: none });
  assert.deepEqual(through(notices.tapsToUpstream(), request), [request]);
  return notices;
}

test("only a session channel with a terminal gets the text", () => {
  assert.deepEqual(opened().payloads("hello"), []);
  assert.deepEqual(opened("direct-tcpip").payloads("hello"), []);
  const [payload = none, more] = withTerminal().payloads("hello");
  assert.equal(more, undefined);
  const { recipient, data } = decodeChannelData(payload);
  assert.deepEqual([recipient, Buffer.from(data).toString()], [3, "\r\nhello\r\n"]);
});

test("the window that the client gives for our bytes is kept from the upstream", () => {
  const notices = withTerminal();
  const adjust = (bytes: number, recipient = 7): (number | undefined)[] =>
    through(notices.tapsToUpstream(), encodeWindowAdjust({ recipient, bytes })).map(
      (payload) => decodeWindowAdjust(payload).bytes,
    );
  assert.deepEqual(adjust(5), [5]);
  notices.payloads("hello"); // 9 bytes
  assert.deepEqual(adjust(50, 8), [50], "another channel's is its own");
  assert.deepEqual(adjust(4), []);
  assert.deepEqual(adjust(10), [5]);
  assert.deepEqual(adjust(10), [10]);
});

test("after the upstream's end of a channel nothing is written into it", () => {
  for (const number of [MSG.CHANNEL_EOF, MSG.CHANNEL_CLOSE] as const) {
    const notices = withTerminal();
    through(notices.tapsToDownstream(), encodeChannelSignal(number, 3));
    assert.deepEqual(notices.payloads("hello"), []);
  }
});

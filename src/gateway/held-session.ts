import { connectionErrors } from "#ssh/connection";
import {
  type ChannelOpen,
  type ChannelRequest,
  decodeChannelRequest,
  encodeChannelData,
  encodeChannelRequest,
  encodeChannelSignal,
  encodeExitStatus,
  encodeWindowAdjust,
  EXTENDED_DATA_STDERR,
  MSG,
} from "#ssh/messages";
import { type PacketConn, transportErrors } from "#ssh/transport";
import type { HeldPacket } from "./resumed-client.ts";

/** What answers in a client's first session channel until its upstream is there: a menu, for instance. */
export interface SessionServing {
  /** Bytes of data that the client may send unread. Keep it small: an upstream must be able to take what was typed ahead. */
  readonly windowBytes: number;
  /**
   * Answers a request: true, it is granted here, and the upstream will be asked for it too; false, it is refused and forgotten;
   * undefined: it waits for the upstream's answer.
   */
  request(request: ChannelRequest): boolean | undefined;
  /** Takes data, valid during the call only; false, or fewer than there are: the others are for the upstream. */
  data(bytes: Uint8Array): boolean | number;
  /**
   * The client asked for something besides: a channel of this type, or a global request (undefined). Words: the channel is refused
   * with them. Undefined: it waits for the upstream.
   */
  besides?(channelType: string | undefined): string | undefined;
  /** The connection takes more, or the client has given window. */
  writable?(): void;
}

export interface HeldSessionOptions {
  readonly conn: PacketConn;
  /** As the client asked for it. */
  readonly open: ChannelOpen;
  /** Our number of it. */
  readonly number: number;
  /** Bytes that the client may send from the beginning, and in one message. */
  readonly creditBytes: number;
  readonly maxPacketBytes: number;
  /** All that is held of the client, this channel's among it; not ours to change. */
  readonly held: readonly HeldPacket[];
  readonly serving: SessionServing | undefined;
}

/** Requests that start a program: nothing that prepares one comes after them. */
export const startingRequests: readonly string[] = ["shell", "exec", "subsystem"];

const agentRequest = "auth-agent-req@openssh.com";

/** A session channel that was confirmed by the gateway, and waits for its upstream. */
export class HeldSession {
  readonly #options: HeldSessionOptions;
  readonly #agent: PromiseWithResolvers<boolean> = Promise.withResolvers();
  /** Bytes that the client takes from us, and that we take from it. */
  #windowBytes: number;
  #creditBytes: number;
  #agentOffered = false;
  #finished = false;

  constructor(options: HeldSessionOptions) {
    this.#options = options;
    this.#windowBytes = options.open.window;
    this.#creditBytes = options.creditBytes;
  }

  /**
   * Whether the client forwards its agent: known with the request for it, or with the request for a program, before which it comes.
   * False too when the client closes the channel.
   */
  get agentOffered(): Promise<boolean> {
    return this.#agent.promise;
  }

  /** The client's number of the channel, our own, and what the client asked for, its window as it is now. */
  get open(): ChannelOpen {
    return { ...this.#options.open, window: this.#windowBytes };
  }

  get number(): number {
    return this.#options.number;
  }

  /** Bytes of data that the client may send in one message. */
  get maxPacketBytes(): number {
    return this.#options.maxPacketBytes;
  }

  /** Bytes that the client may still send. */
  get creditBytes(): number {
    return this.#creditBytes;
  }

  /** Bytes that `write` takes at once. */
  get writableBytes(): number {
    // Who takes messages of no bytes takes nothing, however large the window.
    return this.#finished || this.#options.open.maxPacket === 0 ? 0 : this.#windowBytes;
  }

  /** Writes data to the client; what is beyond `writableBytes` is left out. Returns how many bytes were written. */
  write(data: Uint8Array, dataType?: number): number {
    const { conn, open } = this.#options;
    const whole = Math.min(data.length, this.writableBytes);
    for (let at = 0; at < whole; at += open.maxPacket) {
      const piece = data.subarray(at, Math.min(whole, at + open.maxPacket));
      const type = dataType === undefined ? {} : { dataType };
      conn.send(encodeChannelData({ recipient: open.channel, data: piece, ...type }));
    }
    this.#windowBytes -= whole;
    return whole;
  }

  /** Data were taken and are done with: the client may send as many more. */
  consumed(bytes: number): void {
    if (this.#finished || bytes === 0) return;
    this.#creditBytes += bytes;
    this.#options.conn.send(encodeWindowAdjust({ recipient: this.#options.open.channel, bytes }));
  }

  /** Ends it with a status. */
  end(status: number): void {
    if (this.#finished) return;
    const { conn, open } = this.#options;
    const data = encodeExitStatus(status);
    const recipient = open.channel;
    conn.send(encodeChannelSignal(MSG.CHANNEL_EOF, recipient));
    conn.send(encodeChannelRequest({ recipient, type: "exit-status", wantReply: false, data }));
    conn.send(encodeChannelSignal(MSG.CHANNEL_CLOSE, recipient));
    this.#finished = true;
  }

  /** Ends it with words for the person and a status for their program: whatever they asked for has failed. */
  fail(text: string, status: number): void {
    if (this.#finished) return;
    this.explain(text, status);
    const { conn, open } = this.#options;
    conn.send(encodeChannelSignal(MSG.CHANNEL_EOF, open.channel));
    conn.send(encodeChannelSignal(MSG.CHANNEL_CLOSE, open.channel));
    this.#finished = true;
  }

  /** The same without closing it. */
  explain(text: string, status: number): void {
    const { conn, open, held } = this.#options;
    const recipient = open.channel;
    // Granted first: ssh shows nothing any more once a program has been refused to it.
    for (const { of, payload, answered } of held) {
      if (of === "session" && !answered) this.#grant(payload);
    }
    this.write(Buffer.from(`${text}\r\n`), EXTENDED_DATA_STDERR);
    const data = encodeExitStatus(status);
    conn.send(encodeChannelRequest({ recipient, type: "exit-status", wantReply: false, data }));
  }

  /** The client gave window. Throws PEER_WINDOW_OVERFLOW. */
  adjusted(bytes: number): void {
    this.#windowBytes += bytes;
    if (this.#windowBytes > 0xffff_ffff) throw new connectionErrors.PEER_WINDOW_OVERFLOW();
    this.#options.serving?.writable?.();
  }

  /** The client sent data: how many bytes are dealt with. Throws PEER_UNEXPECTED_MESSAGE for more than it may send. */
  data(bytes: Uint8Array): number {
    if (bytes.length > this.#creditBytes)
      throw new transportErrors.PEER_UNEXPECTED_MESSAGE("data beyond the window");
    this.#creditBytes -= bytes.length;
    if (this.#finished) return bytes.length;
    const taken = this.#options.serving?.data(bytes) ?? false;
    return typeof taken === "number" ? taken : taken ? bytes.length : 0;
  }

  /** The client made a request. */
  request(request: ChannelRequest): "answered" | "refused" | "held" {
    const { conn, open, serving } = this.#options;
    const granted = this.#finished ? false : serving?.request(request);
    if (granted !== undefined && request.wantReply) {
      const number = granted ? MSG.CHANNEL_SUCCESS : MSG.CHANNEL_FAILURE;
      if (!this.#finished) conn.send(encodeChannelSignal(number, open.channel));
    }
    if (request.type === agentRequest && granted !== false) this.#knowAgent(true);
    else if (startingRequests.includes(request.type)) this.#knowAgent(false);
    return granted === undefined ? "held" : granted ? "answered" : "refused";
  }

  /** The client sent EOF or CLOSE. */
  ending(number: number): void {
    if (number === MSG.CHANNEL_CLOSE) this.#knowAgent(false);
  }

  #knowAgent(offered: boolean): void {
    if (!this.#agentOffered) this.#agent.resolve(offered);
    this.#agentOffered ||= offered;
  }

  #grant(payload: Uint8Array): void {
    if (payload[0] !== MSG.CHANNEL_REQUEST) return;
    const { wantReply } = decodeChannelRequest(payload);
    const { conn, open } = this.#options;
    if (wantReply) conn.send(encodeChannelSignal(MSG.CHANNEL_SUCCESS, open.channel));
  }
}

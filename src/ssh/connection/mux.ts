import { PosternError } from "#base";
import {
  type ChannelOpen,
  DISCONNECT,
  decodeChannelOpen,
  decodeChannelOpenConfirmation,
  decodeChannelOpenFailure,
  decodeGlobalRequest,
  decodeRecipient,
  encodeChannelOpen,
  encodeChannelOpenConfirmation,
  encodeChannelOpenFailure,
  encodeGlobalRequest,
  encodeRequestFailure,
  encodeRequestSuccess,
  MSG,
  messageName,
  OPEN_FAILURE,
} from "#ssh/messages";
import { type ConnClose, type PacketConn, type PacketView, payloadOf, transportErrors } from "#ssh/transport";
import { AnswerQueue } from "./answer-queue.ts";
import { Channel, type ChannelOptions } from "./channel.ts";
import type { ChannelCore, ChannelEnds, ChannelPort, IncomingRequest } from "./channel-core.ts";
import { connectionErrors } from "./errors.ts";
import { type ConnectionLimits, defaultConnectionLimits } from "./limits.ts";

/** A channel that the peer wants to open. Answer it once, now or later. */
export interface ChannelOffer {
  readonly type: string;
  /** What the channel's type defines. */
  readonly data: Uint8Array;
  /** Opens the channel; if the connection is gone by then, it is destroyed already. */
  accept(options?: ChannelOptions & { readonly data?: Uint8Array }): Channel;
  /** `reason` is one of OPEN_FAILURE. */
  refuse(reason: number, description: string): void;
}

/** The answer to a global request: false fails, true succeeds, bytes succeed with what the request's type defines. */
export type GlobalAnswer = boolean | Uint8Array;

export interface ConnectionHandlers {
  /** Channel types that the peer may open; any other is refused with UNKNOWN_CHANNEL_TYPE. */
  readonly channels?: ReadonlyMap<string, (offer: ChannelOffer) => void>;
  /** Answers global requests, in the order of arrival. Absent: all fail. A rejection closes the connection. */
  readonly globalRequest?: (request: IncomingRequest) => GlobalAnswer | Promise<GlobalAnswer>;
  readonly limits?: Partial<ConnectionLimits>;
}

export type OpenOutcome =
  | { readonly opened: true; readonly channel: Channel; readonly data: Uint8Array }
  /** `reason` is one of OPEN_FAILURE; CONNECT_FAILED also if the connection ended first. */
  | { readonly opened: false; readonly reason: number; readonly description: string };

export interface OpenOptions extends ChannelOptions {
  /** What the channel's type defines. */
  readonly data?: Uint8Array;
}

export interface GlobalReply {
  readonly success: boolean;
  readonly data: Uint8Array;
}

type Entry =
  | {
      readonly kind: "opening";
      readonly options: OpenOptions;
      readonly type: string;
      readonly settle: (o: OpenOutcome) => void;
    }
  /** The peer's, not yet answered: it does not know our number, so nothing may come for it. */
  | { readonly kind: "offered" }
  | { readonly kind: "open"; readonly channel: Channel };

const none = new Uint8Array(0);

/** For each the same: of thousands of connections, some are asked in every second. */
const probe = encodeGlobalRequest({ type: "keepalive@openssh.com", wantReply: true, data: none });

/**
 * Bytes of data that are gathered before they are written out within a turn: many channels that have much to send would otherwise
 * seal all of it before anybody looks whether the connection takes it.
 */
const burstBytes = 1024 * 1024;

/**
 * The connection protocol (RFC 4254) where we are an end ourselves, as client or as server: channels as streams, requests answered in
 * order. Takes over the PacketConn that it is given.
 */
export class ConnectionMux {
  /** Resolves when the connection is over. */
  readonly ended: Promise<ConnClose>;
  readonly #conn: PacketConn;
  readonly #handlers: ConnectionHandlers;
  readonly #limits: ConnectionLimits;
  readonly #port: ChannelPort;
  readonly #entries = new Map<number, Entry>();
  readonly #answers: AnswerQueue<GlobalAnswer>;
  /** Who waits for the answers, in their order; undefined: nobody does. */
  readonly #asked: (((reply: GlobalReply) => void) | undefined)[] = [];
  /** Channels with data to send, waiting for the connection; in turn. */
  readonly #waiting = new Set<ChannelCore>();
  readonly #tellEnded: (close: ConnClose) => void;
  #over = false;
  #sentWhileFull = 0;
  #gatheredBytes = 0;
  #stalled = false;

  /** Throws nothing; errors of the peer close the connection. */
  constructor(conn: PacketConn, handlers: ConnectionHandlers = {}) {
    this.#conn = conn;
    this.#handlers = handlers;
    this.#limits = { ...defaultConnectionLimits, ...handlers.limits };
    const ended = Promise.withResolvers<ConnClose>();
    this.ended = ended.promise;
    this.#tellEnded = ended.resolve;
    this.#port = this.#makePort();
    this.#answers = new AnswerQueue(
      this.#limits.maxUnansweredRequests,
      (answer) => this.#sendGlobalAnswer(answer),
      (error) => this.#fail(error),
    );
    conn.attach({
      packet: (packet) => this.#packet(packet),
      ready: () => this.#ready(),
      drain: () => this.#drain(),
      closed: (close) => this.#closed(close),
    });
  }

  /** Channels open, being opened or offered. */
  get channelCount(): number {
    return this.#entries.size;
  }

  /** Opens a channel of our own. Refusal is a value, not an error. */
  open(type: string, options: OpenOptions = {}): Promise<OpenOutcome> {
    const number = this.#freeNumber();
    if (this.#over || number === undefined) {
      const description = this.#over ? "the connection is closed" : "too many channels";
      const reason = this.#over ? OPEN_FAILURE.CONNECT_FAILED : OPEN_FAILURE.RESOURCE_SHORTAGE;
      return Promise.resolve({ opened: false, reason, description });
    }
    return new Promise((settle) => {
      this.#entries.set(number, { kind: "opening", options, type, settle });
      this.#sendControl(
        encodeChannelOpen({
          type,
          channel: number,
          window: this.#limits.windowBytes,
          maxPacket: this.#limits.maxPacketBytes,
          data: options.data ?? none,
        }),
      );
    });
  }

  /** Makes a global request. Replies come in the order of the requests; the end of the connection is a failure. */
  request(type: string, data: Uint8Array = none): Promise<GlobalReply> {
    if (this.#over) return Promise.resolve({ success: false, data: none });
    const reply = new Promise<GlobalReply>((settle) => this.#asked.push(settle));
    this.#sendControl(encodeGlobalRequest({ type, wantReply: true, data }));
    return reply;
  }

  /** Asks something that every peer answers, if only to say that it does not know it: its answer counts as a sign of life alone. */
  probe(): void {
    if (this.#over) return;
    this.#asked.push(undefined);
    this.#sendControl(probe);
  }

  /** Makes a global request that wants no reply. */
  notify(type: string, data: Uint8Array = none): void {
    if (!this.#over) this.#sendControl(encodeGlobalRequest({ type, wantReply: false, data }));
  }

  /** Ends the connection: what was sent leaves first, channels are lost. */
  disconnect(reason: number = DISCONNECT.BY_APPLICATION, description = ""): void {
    if (!this.#over) this.#conn.disconnect(reason, description);
  }

  #makePort(): ChannelPort {
    // Read through at each call: the port outlives no state of its own.
    const writable = (): boolean => this.#conn.writable;
    const contended = (): boolean => this.#waiting.size > 0;
    return {
      limits: this.#limits,
      get writable() {
        return writable();
      },
      get contended() {
        return contended();
      },
      sendData: (payload) => this.#sendData(payload),
      sendControl: (payload) => this.#sendControl(payload),
      waitForRoom: (core) => {
        this.#waiting.add(core);
      },
      forget: (core) => {
        this.#waiting.delete(core);
        this.#entries.delete(core.ends.ours);
      },
      fail: (error) => this.#fail(error),
    };
  }

  #packet(packet: PacketView): void {
    const payload = payloadOf(packet);
    const number = payload[0] ?? 0;
    switch (number) {
      case MSG.USERAUTH_REQUEST:
        return; // sent ahead by a client that is let in already: ignored (RFC 4252, section 5.3)
      case MSG.GLOBAL_REQUEST:
        this.#globalRequest(payload);
        return;
      case MSG.REQUEST_SUCCESS:
      case MSG.REQUEST_FAILURE: {
        if (this.#asked.length === 0) throw new connectionErrors.PEER_REPLY_UNASKED(messageName(number));
        this.#asked.shift()?.({
          success: number === MSG.REQUEST_SUCCESS,
          data: Uint8Array.from(payload.subarray(1)),
        });
        return;
      }
      case MSG.CHANNEL_OPEN:
        this.#channelOpen(decodeChannelOpen(payload));
        return;
      case MSG.CHANNEL_OPEN_CONFIRMATION:
        this.#confirmed(payload);
        return;
      case MSG.CHANNEL_OPEN_FAILURE:
        this.#refused(payload);
        return;
      default:
        if (number < MSG.CHANNEL_WINDOW_ADJUST || number > MSG.CHANNEL_FAILURE) {
          throw new transportErrors.PEER_UNEXPECTED_MESSAGE(
            `${messageName(number)} in the connection protocol`,
          );
        }
        this.#channelOf(payload, number).core.receive(payload);
    }
  }

  #channelOf(payload: Uint8Array, number: number): Channel {
    const recipient = decodeRecipient(payload);
    const entry = this.#entries.get(recipient);
    if (entry?.kind === "open") return entry.channel;
    if (entry?.kind === "opening") {
      throw new connectionErrors.PEER_CHANNEL_ORDER(`${messageName(number)} before the open was confirmed`);
    }
    throw new connectionErrors.PEER_CHANNEL_UNKNOWN(`${messageName(number)} for channel ${recipient}`);
  }

  #globalRequest(payload: Uint8Array): void {
    const { type, wantReply, data } = decodeGlobalRequest(payload);
    if (wantReply) this.#answers.expectRoom();
    const answer = this.#handlers.globalRequest?.({ type, wantReply, data: Uint8Array.from(data) }) ?? false;
    if (wantReply) this.#answers.add(answer);
    else if (answer instanceof Promise) answer.catch((error: unknown) => this.#fail(error));
  }

  #sendGlobalAnswer(answer: GlobalAnswer): void {
    if (answer === false) this.#sendControl(encodeRequestFailure());
    else this.#sendControl(encodeRequestSuccess(answer === true ? none : answer));
  }

  #channelOpen(open: ChannelOpen): void {
    const refuse = (reason: number, description: string): void =>
      this.#sendControl(encodeChannelOpenFailure({ recipient: open.channel, reason, description }));
    const handler = this.#handlers.channels?.get(open.type);
    if (handler === undefined) {
      refuse(OPEN_FAILURE.UNKNOWN_CHANNEL_TYPE, "unknown channel type");
      return;
    }
    if (open.maxPacket === 0) {
      refuse(OPEN_FAILURE.CONNECT_FAILED, "a maximum packet size of 0 admits no data");
      return;
    }
    const ours = this.#freeNumber();
    if (ours === undefined) {
      refuse(OPEN_FAILURE.RESOURCE_SHORTAGE, "too many channels");
      return;
    }
    this.#entries.set(ours, { kind: "offered" });
    let answered = false;
    const answer = (): void => {
      if (answered) throw new connectionErrors.BUG_CONNECTION_CALL("a channel open was answered twice");
      answered = true;
    };
    handler({
      type: open.type,
      data: Uint8Array.from(open.data),
      accept: (options = {}) => {
        answer();
        return this.#accept(open, ours, options);
      },
      refuse: (reason, description) => {
        answer();
        this.#entries.delete(ours);
        refuse(reason, description);
      },
    });
  }

  #accept(
    open: ChannelOpen,
    ours: number,
    options: ChannelOptions & { readonly data?: Uint8Array },
  ): Channel {
    const ends = {
      ours,
      theirs: open.channel,
      peerWindowBytes: open.window,
      peerMaxPacketBytes: open.maxPacket,
    };
    const channel = this.#makeChannel(open.type, ends, options, true);
    this.#sendControl(
      encodeChannelOpenConfirmation({
        recipient: open.channel,
        channel: ours,
        window: this.#limits.windowBytes,
        maxPacket: this.#limits.maxPacketBytes,
        data: options.data ?? none,
      }),
    );
    return channel;
  }

  #makeChannel(type: string, ends: ChannelEnds, options: ChannelOptions, peerOpened: boolean): Channel {
    const channel = new Channel({
      type,
      ends,
      port: this.#port,
      options,
      // The exit status of a session follows EOF: there the server closes, by `finish`, and the client after it.
      closeWhenEnded: type !== "session",
      discardStderr: peerOpened,
    });
    if (this.#over) channel.core.lost();
    else this.#entries.set(ends.ours, { kind: "open", channel });
    return channel;
  }

  #opening(recipient: number, number: number): Extract<Entry, { kind: "opening" }> {
    const entry = this.#entries.get(recipient);
    if (entry?.kind === "opening") return entry;
    throw new connectionErrors.PEER_REPLY_UNASKED(`${messageName(number)} for channel ${recipient}`);
  }

  #confirmed(payload: Uint8Array): void {
    const message = decodeChannelOpenConfirmation(payload);
    const { type, options, settle } = this.#opening(message.recipient, MSG.CHANNEL_OPEN_CONFIRMATION);
    if (message.maxPacket === 0) throw new connectionErrors.PEER_CHANNEL_ORDER("a maximum packet size of 0");
    const ends = {
      ours: message.recipient,
      theirs: message.channel,
      peerWindowBytes: message.window,
      peerMaxPacketBytes: message.maxPacket,
    };
    const channel = this.#makeChannel(type, ends, options, false);
    settle({ opened: true, channel, data: Uint8Array.from(message.data) });
  }

  #refused(payload: Uint8Array): void {
    const { recipient, reason, description } = decodeChannelOpenFailure(payload);
    const { settle } = this.#opening(recipient, MSG.CHANNEL_OPEN_FAILURE);
    this.#entries.delete(recipient);
    settle({ opened: false, reason, description });
  }

  /** The lowest free number; undefined when there are too many channels. */
  #freeNumber(): number | undefined {
    if (this.#entries.size >= this.#limits.maxChannels) return undefined;
    let number = 0;
    while (this.#entries.has(number)) number++;
    return number;
  }

  #sendData(payload: Uint8Array): void {
    this.#conn.send(payload);
    this.#gatheredBytes += payload.length;
    if (this.#gatheredBytes < burstBytes) return;
    this.#gatheredBytes = 0;
    this.#conn.flush();
  }

  #sendControl(payload: Uint8Array): void {
    if (this.#over) return;
    this.#sentWhileFull = this.#conn.writable ? 0 : this.#sentWhileFull + 1;
    this.#conn.send(payload);
  }

  #ready(): boolean {
    if (this.#sentWhileFull < this.#limits.maxSentWhileFull || this.#conn.writable) return true;
    this.#stalled = true;
    return false;
  }

  #drain(): void {
    this.#sentWhileFull = 0;
    for (const core of this.#waiting) {
      if (!this.#conn.writable) return;
      this.#waiting.delete(core);
      // Back to the end of the line: each channel sends one message in turn.
      if (core.sendOne()) this.#waiting.add(core);
    }
    if (!this.#stalled) return;
    this.#stalled = false;
    this.#conn.resume();
  }

  #fail(error: unknown): void {
    if (this.#over) return;
    const close: ConnClose = { kind: "failed", error };
    const known = error instanceof PosternError;
    // The peer hears the safe text; whoever waits for the end hears the error.
    this.#closed(close);
    if (known) this.#conn.disconnect(error.disconnect, error.user);
    else this.#conn.disconnect(DISCONNECT.BY_APPLICATION, "internal error");
  }

  #closed(close: ConnClose): void {
    if (this.#over) return;
    this.#over = true;
    const entries = [...this.#entries.values()];
    this.#entries.clear();
    this.#waiting.clear();
    for (const entry of entries) {
      if (entry.kind === "open") entry.channel.core.lost();
      if (entry.kind === "opening") {
        entry.settle({
          opened: false,
          reason: OPEN_FAILURE.CONNECT_FAILED,
          description: "the connection is closed",
        });
      }
    }
    for (const settle of this.#asked.splice(0)) settle?.({ success: false, data: none });
    this.#tellEnded(close);
  }
}

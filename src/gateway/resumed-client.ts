import {
  decodeChannelOpen,
  decodeChannelOpenConfirmation,
  decodeChannelOpenFailure,
  decodeChannelRequest,
  decodeRecipient,
  decodeWindowAdjust,
  encodeChannelData,
  encodeChannelOpen,
  encodeChannelOpenConfirmation,
  encodeChannelSignal,
  encodeWindowAdjust,
  MSG,
} from "#ssh/messages";
import {
  type ConnClose,
  type PacketConn,
  type PacketHandler,
  type PacketView,
  payloadOf,
} from "#ssh/transport";
import { PosternError } from "#base";
import type { Extensions } from "#ssh/messages";
import { gatewayErrors } from "./errors.ts";
import { type HeldSession, startingRequests } from "./held-session.ts";

/** What a client sent before it had an upstream. */
export interface HeldPacket {
  /** The opening of the session channel that was confirmed here, what came in that channel, or anything else. */
  readonly of: "open" | "session" | "other";
  readonly payload: Uint8Array;
  /** A request that was granted here already. */
  readonly answered: boolean;
}

/** The first byte of a data message's bytes: number, recipient, length. */
const dataHeaderBytes = 9;

/**
 * A client that waited for its upstream, as its upstream is to see it: what it sent meanwhile comes first, in order, and what was
 * answered here is not answered again.
 *
 * - Of the session channel that was confirmed here, the upstream's confirmation becomes window for the client; only then does
 *   what came in that channel go on.
 * - If the upstream gave that channel another number than the client was told, the two numbers change places, in both directions.
 * - Data in longer messages than the upstream takes are cut.
 *
 * When nothing of that is left to do, packets pass untouched, and those from the client do not come here at all.
 */
export class ResumedClient implements PacketConn {
  readonly #conn: PacketConn;
  readonly #backlog: HeldPacket[];
  readonly #session: HeldSession | undefined;
  #handler: PacketHandler | undefined;
  /** Of the session channel. */
  #state: "none" | "opening" | "open" | "refused";
  /** The upstream's number of it, when it is not ours. */
  #upstreamNumber: number | undefined;
  /** What the upstream takes in one message, when it is less than we allowed the client. */
  #maxPacketBytes: number | undefined;
  /** Requests that we granted, whose answers by the upstream are not for the client: whether each starts a program. */
  readonly #granted: boolean[] = [];
  /** Bytes that the upstream takes, while that is less than the client was promised, and by how much. */
  #room: { leftBytes: number; owedBytes: number } | undefined;
  #replaying = false;
  #failure: unknown;

  constructor(conn: PacketConn, backlog: readonly HeldPacket[], session: HeldSession | undefined) {
    this.#conn = conn;
    this.#backlog = [...backlog];
    this.#session = session;
    this.#state = session === undefined ? "none" : "opening";
  }

  get sessionId(): Uint8Array {
    return this.#conn.sessionId;
  }

  get peerVersion(): string {
    return this.#conn.peerVersion;
  }

  get extensions(): Extensions {
    return this.#conn.extensions;
  }

  get hostKey(): Uint8Array {
    return this.#conn.hostKey;
  }

  get writable(): boolean {
    return this.#conn.writable;
  }

  get rekeying(): boolean {
    return this.#conn.rekeying;
  }

  get bytesIn(): number {
    return this.#conn.bytesIn;
  }

  get bytesOut(): number {
    return this.#conn.bytesOut;
  }

  attach(handler: PacketHandler): void {
    this.#handler = handler;
    this.#conn.attach({
      ready: () => {
        this.#replay();
        return this.#backlog.length === 0 && (handler.ready?.() ?? true);
      },
      mayRekey: () => handler.mayRekey?.() ?? true,
      packet: (packet) => this.#fromClient(packet, handler),
      drain: () => handler.drain?.(),
      closed: (close) => handler.closed(this.#failure === undefined ? close : this.#failed(close)),
    });
    // Not at once: whoever attaches has not finished its own construction.
    this.#resumeSoon();
  }

  resume(): void {
    this.#replay();
    this.#conn.resume();
  }

  send(payload: Uint8Array): void {
    if (this.#passes) this.#conn.send(payload);
    else for (const each of this.#toClient(payload)) this.#conn.send(each);
  }

  forward(packet: PacketView): void {
    if (this.#passes) this.#conn.forward(packet);
    else this.send(payloadOf(packet));
  }

  flush(): void {
    this.#conn.flush();
  }

  rekey(): void {
    this.#conn.rekey();
  }

  disconnect(reason: number, description: string): void {
    this.#conn.disconnect(reason, description);
  }

  destroy(): void {
    this.#conn.destroy();
  }

  /** Nothing is left to do but to change numbers and cut data, if that. */
  get #settled(): boolean {
    return this.#backlog.length === 0 && this.#state !== "opening" && this.#state !== "refused";
  }

  /** What goes to the client goes as it is. */
  get #passes(): boolean {
    return (
      this.#settled &&
      this.#granted.length === 0 &&
      this.#room === undefined &&
      this.#upstreamNumber === undefined
    );
  }

  #failed(close: ConnClose): ConnClose {
    return close.kind === "local" ? { kind: "failed", error: this.#failure } : close;
  }

  /** Shows what is held, as far as it may be shown now. Never throws: it is called from the upstream's side too. */
  #replay(): void {
    const handler = this.#handler;
    if (this.#replaying || handler === undefined) return;
    this.#replaying = true;
    try {
      for (;;) {
        const [next] = this.#backlog;
        if (next === undefined || !(handler.ready?.() ?? true) || !this.#mayShow(next)) return;
        this.#backlog.shift();
        this.#show(next, handler);
      }
    } catch (error) {
      const known =
        error instanceof PosternError ? error : new gatewayErrors.BUG_SESSION(undefined, { cause: error });
      this.#failure = known;
      this.#backlog.length = 0;
      this.#conn.disconnect(known.disconnect, known.user);
    } finally {
      this.#replaying = false;
    }
  }

  /** The session channel's own messages wait until the upstream has opened it, and data until there is room for them. */
  #mayShow({ of, payload }: HeldPacket): boolean {
    if (of === "session" && this.#state === "opening") return false;
    if (of !== "session" || payload[0] !== MSG.CHANNEL_DATA || this.#room === undefined) return true;
    return payload.length - dataHeaderBytes <= this.#room.leftBytes;
  }

  #show({ of, payload, answered }: HeldPacket, handler: PacketHandler): void {
    const session = this.#session;
    if (of === "open" && session !== undefined) {
      handler.packet(viewOf(encodeChannelOpen(session.open)));
      return;
    }
    if (answered && this.#state === "open") {
      const { type, wantReply } = decodeChannelRequest(payload);
      if (wantReply) this.#granted.push(startingRequests.includes(type));
    }
    this.#fromClient(viewOf(payload), handler);
  }

  #fromClient(packet: PacketView, handler: PacketHandler): void {
    const number = packet.bytes[packet.start] ?? 0;
    const session = this.#session;
    if (session === undefined || number < MSG.CHANNEL_OPEN_CONFIRMATION) {
      handler.packet(packet);
      return;
    }
    const recipient = decodeRecipient(payloadOf(packet));
    const ofSession = recipient === session.number && number >= MSG.CHANNEL_WINDOW_ADJUST;
    if (ofSession && this.#state === "refused") {
      // The client's last words in a channel that is closed; from then on the number is anybody's.
      if (number === MSG.CHANNEL_CLOSE) this.#state = "none";
      return;
    }
    if (ofSession && this.#state === "opening") {
      // The upstream's number of it is not known yet.
      this.#holdAgain(packet);
      return;
    }
    if (ofSession && number === MSG.CHANNEL_DATA && !this.#takesData(packet)) return;
    if (this.#upstreamNumber !== undefined) writeRecipient(packet, this.#swapped(recipient));
    if (ofSession && number === MSG.CHANNEL_DATA && this.#maxPacketBytes !== undefined)
      for (const piece of cut(packet, this.#maxPacketBytes)) handler.packet(piece);
    else handler.packet(packet);
  }

  /** Counts data against the upstream's window where that is short; what does not fit is held again. */
  #takesData(packet: PacketView): boolean {
    const room = this.#room;
    if (room === undefined) return true;
    const bytes = packet.end - packet.start - dataHeaderBytes;
    if (bytes > room.leftBytes) {
      this.#holdAgain(packet);
      return false;
    }
    room.leftBytes -= bytes;
    return true;
  }

  /** One at most: until it is shown, nothing more is taken of the client. */
  #holdAgain(packet: PacketView): void {
    this.#backlog.push({ of: "session", payload: Uint8Array.from(payloadOf(packet)), answered: false });
  }

  /** What the client is to see of a message for it. */
  #toClient(payload: Uint8Array): readonly Uint8Array[] {
    const number = payload[0] ?? 0;
    if (!looksAt(number)) return [payload];
    if (number === MSG.CHANNEL_OPEN) {
      const open = decodeChannelOpen(payload);
      return [encodeChannelOpen({ ...open, channel: this.#swapped(open.channel) })];
    }
    const session = this.#session;
    const ours = session !== undefined && decodeRecipient(payload) === session.open.channel;
    if (ours && this.#state === "opening") return this.#opened(payload, number, session);
    if (number === MSG.CHANNEL_OPEN_CONFIRMATION) {
      const confirmation = decodeChannelOpenConfirmation(payload);
      const channel = this.#swapped(confirmation.channel);
      return [encodeChannelOpenConfirmation({ ...confirmation, channel })];
    }
    if (!ours || this.#state === "none") return [payload];
    if (this.#state === "refused" && number !== MSG.CHANNEL_CLOSE) return [];
    switch (number) {
      case MSG.CHANNEL_WINDOW_ADJUST:
        return this.#adjusted(payload);
      case MSG.CHANNEL_SUCCESS:
      case MSG.CHANNEL_FAILURE: {
        const started = this.#granted.shift();
        if (started === undefined) return [payload];
        if (started && number === MSG.CHANNEL_FAILURE)
          this.#giveUp(session, "The server behind this gateway refused to start what was asked for.");
        return [];
      }
      case MSG.CHANNEL_CLOSE:
        this.#granted.length = 0;
        this.#room = undefined;
        return [payload];
      default:
        return [payload];
    }
  }

  /** The upstream answered the opening of the session channel. */
  #opened(payload: Uint8Array, number: number, session: HeldSession): readonly Uint8Array[] {
    if (number === MSG.CHANNEL_OPEN_FAILURE) {
      const { description } = decodeChannelOpenFailure(payload);
      session.fail(
        `The server behind this gateway opened no session: ${printable(description)}`,
        failedStatus,
      );
      this.#state = "refused";
      this.#resumeSoon();
      return [];
    }
    if (number !== MSG.CHANNEL_OPEN_CONFIRMATION) return [payload];
    const { channel, window, maxPacket } = decodeChannelOpenConfirmation(payload);
    this.#state = "open";
    if (channel !== session.number) this.#upstreamNumber = channel;
    if (maxPacket === 0) {
      this.#giveUp(session, "The server behind this gateway opened a session that takes no data.");
      return [];
    }
    if (maxPacket < session.maxPacketBytes) this.#maxPacketBytes = maxPacket;
    let promised = session.creditBytes;
    for (const { of, payload: held } of this.#backlog) {
      if (of === "session" && held[0] === MSG.CHANNEL_DATA) promised += held.length - dataHeaderBytes;
    }
    this.#resumeSoon();
    if (window < promised) this.#room = { leftBytes: window, owedBytes: promised - window };
    if (window <= promised) return [];
    return [encodeWindowAdjust({ recipient: session.open.channel, bytes: window - promised })];
  }

  /** The upstream gives window: first for what the client was promised here. */
  #adjusted(payload: Uint8Array): readonly Uint8Array[] {
    const room = this.#room;
    if (room === undefined) return [payload];
    const { recipient, bytes } = decodeWindowAdjust(payload);
    const kept = Math.min(bytes, room.owedBytes);
    room.leftBytes += bytes;
    room.owedBytes -= kept;
    if (room.owedBytes === 0) this.#room = undefined;
    this.#resumeSoon();
    return kept === bytes ? [] : [encodeWindowAdjust({ recipient, bytes: bytes - kept })];
  }

  /** The upstream cannot go on with the session: it is told to close, and its CLOSE is the client's. */
  #giveUp(session: HeldSession, text: string): void {
    session.explain(text, failedStatus);
    this.#state = "refused";
    queueMicrotask(() => {
      const recipient = this.#swapped(session.number);
      this.#handler?.packet(viewOf(encodeChannelSignal(MSG.CHANNEL_CLOSE, recipient)));
      this.#replay();
    });
  }

  #swapped(number: number): number {
    const ours = this.#session?.number;
    if (this.#upstreamNumber === undefined || ours === undefined) return number;
    if (number === ours) return this.#upstreamNumber;
    return number === this.#upstreamNumber ? ours : number;
  }

  /** Not at once: this is the upstream's turn. */
  #resumeSoon(): void {
    queueMicrotask(() => this.resume());
  }
}

/** What ssh itself says of a session that came to nothing. */
export const failedStatus = 255;

/** Numbers in which something may have to be changed. */
function looksAt(number: number): boolean {
  return number >= MSG.CHANNEL_OPEN && number <= MSG.CHANNEL_FAILURE;
}

function viewOf(payload: Uint8Array): PacketView {
  return { bytes: payload, start: 0, end: payload.length, padding: 0 };
}

/** In place: the packet is ours until the call that showed it returns. */
function writeRecipient({ bytes, start }: PacketView, recipient: number): void {
  new DataView(bytes.buffer, bytes.byteOffset + start + 1, 4).setUint32(0, recipient);
}

/** Data messages of at most so many bytes each. */
function* cut(packet: PacketView, maxPacketBytes: number): Generator<PacketView> {
  const payload = payloadOf(packet);
  const data = payload.subarray(dataHeaderBytes);
  if (data.length <= maxPacketBytes) {
    yield packet;
    return;
  }
  const recipient = decodeRecipient(payload);
  for (let at = 0; at < data.length; at += maxPacketBytes) {
    const piece = data.subarray(at, at + maxPacketBytes);
    yield viewOf(encodeChannelData({ recipient, data: piece }));
  }
}

/** One line without control characters, for a terminal. */
function printable(text: string): string {
  return text.replaceAll(/[^\x20-\x7e\u00a0-\uffff]+/g, " ").slice(0, 500);
}

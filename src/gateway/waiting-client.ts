import {
  type ChannelOpen,
  decodeChannelData,
  decodeChannelOpen,
  decodeChannelRequest,
  decodeGlobalRequest,
  decodeRecipient,
  decodeWindowAdjust,
  encodeChannelData,
  encodeChannelOpenConfirmation,
  encodeChannelOpenFailure,
  encodeRequestFailure,
  MSG,
  messageName,
  OPEN_FAILURE,
} from "#ssh/messages";
import {
  type ConnClose,
  type PacketConn,
  type PacketHandler,
  type PacketView,
  payloadOf,
  transportErrors,
} from "#ssh/transport";
import { ClientChannel, type ClientChannelOptions } from "./client-channel.ts";
import { HeldSession, type SessionServing } from "./held-session.ts";
import { type HeldPacket, ResumedClient } from "./resumed-client.ts";

/** Bytes of what a client sends before it has an upstream that are held; then it is left unread. */
export const maxHeldBytes: number = 1024 * 1024;

/** What holding one packet costs besides its bytes. */
const overheadBytes = 64;

/** Our number of the client's first session channel: the one that OpenSSH's server gives too, so that mostly none must be changed. */
const sessionNumber = 0;

/** Data in one message that the client is allowed, in the channel that we confirm ourselves. As OpenSSH. */
const maxPacketBytes = 32 * 1024;

/**
 * A client that is logged in, and whose upstream comes later (ADR 11). Its first session channel is confirmed here, so that it says
 * what it wants; all that it sends is held in order, and `resume` gives a connection that begins with it, as if nothing had been in
 * between.
 *
 * Takes over the connection. Owns the channels that it opens to the client.
 */
export class WaitingClient {
  /** Resolves when the connection is over, unless it was handed on before. */
  readonly closed: Promise<ConnClose>;
  readonly #conn: PacketConn;
  readonly #serving: SessionServing | undefined;
  readonly #held: HeldPacket[] = [];
  readonly #channels = new Map<number, ClientChannel>();
  readonly #end: PromiseWithResolvers<ConnClose> = Promise.withResolvers();
  readonly #sessionOpened: PromiseWithResolvers<HeldSession> = Promise.withResolvers();
  #heldBytes = 0;
  #session: HeldSession | undefined;
  /** The last change of the terminal's size that is held. */
  #resized: HeldPacket | undefined;
  /** A held global request waits for an answer: none after it may be answered before. */
  #owesAnswer = false;
  #handedOn = false;

  /** `serving`: what answers in the first session channel meanwhile. Absent: nothing there is answered, and no data are taken. */
  constructor(conn: PacketConn, serving?: SessionServing) {
    this.#conn = conn;
    this.#serving = serving;
    this.closed = this.#end.promise;
    conn.attach(this.#handler());
  }

  /** The client's first session channel, when it has opened one. */
  get session(): Promise<HeldSession> {
    return this.#sessionOpened.promise;
  }

  /** The same, if it is there already. */
  get openSession(): HeldSession | undefined {
    return this.#session;
  }

  /** Opens a channel to the client. All of them must be over before `resume`. */
  openChannel(type: string, reader: Pick<ClientChannelOptions, "data" | "eof">): ClientChannel {
    let number = sessionNumber + 1;
    while (this.#channels.has(number)) number++;
    const channel = new ClientChannel({
      number,
      type,
      send: (payload) => this.#conn.send(payload),
      data: (bytes) => reader.data(bytes),
      eof: () => reader.eof(),
    });
    this.#channels.set(number, channel);
    void channel.over.then(() => this.#channels.delete(number));
    return channel;
  }

  /** Channels of ours that the client still has open, or has not answered. */
  get openChannels(): number {
    return this.#channels.size;
  }

  /** The client's connection as an upstream is to see it. Nothing of this object may be used any more. */
  resume(): PacketConn {
    this.#handedOn = true;
    return new ResumedClient(this.#conn, this.#held, this.#session);
  }

  #handler(): PacketHandler {
    return {
      ready: () => !this.#handedOn && this.#heldBytes < maxHeldBytes,
      packet: (packet: PacketView) => this.#packet(payloadOf(packet)),
      drain: () => this.#serving?.writable?.(),
      closed: this.#end.resolve,
    };
  }

  #packet(payload: Uint8Array): void {
    const number = payload[0] ?? 0;
    switch (number) {
      // Sent ahead by a client that was let in meanwhile: ignored (RFC 4252, section 5.3).
      case MSG.USERAUTH_REQUEST:
        return;
      case MSG.GLOBAL_REQUEST:
        this.#globalRequest(payload);
        return;
      case MSG.CHANNEL_OPEN:
        this.#channelOpen(payload);
        return;
      default:
        if (number < MSG.CHANNEL_OPEN_CONFIRMATION || number > MSG.CHANNEL_FAILURE) unexpected(number);
        this.#channelMessage(payload, number);
    }
  }

  /** A question for a sign of life is answered at once, as any server would; all else is the upstream's to answer. */
  #globalRequest(payload: Uint8Array): void {
    const { type, wantReply } = decodeGlobalRequest(payload);
    if (type === "keepalive@openssh.com" && !this.#owesAnswer) {
      if (wantReply) this.#conn.send(encodeRequestFailure());
      return;
    }
    this.#owesAnswer ||= wantReply;
    this.#hold("other", payload);
    this.#serving?.besides?.(undefined);
  }

  #channelOpen(payload: Uint8Array): void {
    const open = decodeChannelOpen(payload);
    if (open.type !== "session" || this.#session !== undefined) {
      const description = this.#serving?.besides?.(open.type);
      if (description === undefined) this.#hold("other", payload);
      else {
        const reason = OPEN_FAILURE.ADMINISTRATIVELY_PROHIBITED;
        this.#conn.send(encodeChannelOpenFailure({ recipient: open.channel, reason, description }));
      }
      return;
    }
    this.#hold("open", payload);
    this.#session = this.#confirm({ ...open, data: Uint8Array.from(open.data) });
    this.#sessionOpened.resolve(this.#session);
  }

  #confirm(open: ChannelOpen): HeldSession {
    const creditBytes = this.#serving?.windowBytes ?? 0;
    const session = new HeldSession({
      conn: this.#conn,
      open,
      number: sessionNumber,
      creditBytes,
      held: this.#held,
      maxPacketBytes,
      serving: this.#serving,
    });
    this.#conn.send(
      encodeChannelOpenConfirmation({
        recipient: open.channel,
        channel: sessionNumber,
        // Without a window the client sends no data: none are held, and it is given the upstream's window when there is one.
        window: creditBytes,
        maxPacket: maxPacketBytes,
        data: new Uint8Array(),
      }),
    );
    return session;
  }

  #channelMessage(payload: Uint8Array, number: number): void {
    const recipient = decodeRecipient(payload);
    const own = this.#channels.get(recipient);
    if (own !== undefined) {
      own.receive(payload);
      return;
    }
    const session = this.#session;
    if (recipient !== sessionNumber || session === undefined || number < MSG.CHANNEL_WINDOW_ADJUST)
      throw new transportErrors.PEER_UNEXPECTED_MESSAGE(`${messageName(number)} for channel ${recipient}`);
    switch (number) {
      case MSG.CHANNEL_WINDOW_ADJUST:
        session.adjusted(decodeWindowAdjust(payload).bytes);
        return;
      case MSG.CHANNEL_DATA: {
        const { data } = decodeChannelData(payload);
        const rest = data.subarray(session.data(data));
        if (rest.length > 0 || data.length === 0)
          this.#hold("session", encodeChannelData({ recipient, data: rest }));
        return;
      }
      case MSG.CHANNEL_REQUEST: {
        const request = decodeChannelRequest(payload);
        const answered = session.request({ ...request, data: Uint8Array.from(request.data) });
        if (answered === "refused") return;
        // Of the sizes that a terminal had, the last is what the upstream needs to know.
        if (request.type === "window-change") this.#drop(this.#resized);
        const held = this.#hold("session", payload, answered === "answered");
        if (request.type === "window-change") this.#resized = held;
        return;
      }
      case MSG.CHANNEL_EOF:
      case MSG.CHANNEL_CLOSE:
        session.ending(number);
        this.#hold("session", payload);
        return;
      default:
        unexpected(number);
    }
  }

  #hold(of: HeldPacket["of"], payload: Uint8Array, answered = false): HeldPacket {
    const packet = { of, payload: Uint8Array.from(payload), answered };
    this.#heldBytes += payload.length + overheadBytes;
    this.#held.push(packet);
    return packet;
  }

  #drop(packet: HeldPacket | undefined): void {
    const at = packet === undefined ? -1 : this.#held.indexOf(packet);
    if (packet === undefined || at < 0) return;
    this.#held.splice(at, 1);
    this.#heldBytes -= packet.payload.length + overheadBytes;
  }
}

function unexpected(number: number): never {
  throw new transportErrors.PEER_UNEXPECTED_MESSAGE(`${messageName(number)} before there was an upstream`);
}

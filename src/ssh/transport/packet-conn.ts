import { type Extensions, MSG } from "#ssh/messages";

/**
 * One opened packet: a window on somebody's bytes, valid only during the call that shows it, unless its lender is told. The object
 * is reused: keep neither it nor `bytes`; copy what must stay.
 */
export interface PacketView {
  bytes: Uint8Array;
  /** Offset of the payload, whose first byte is the message number. */
  start: number;
  /** Offset after the payload. */
  end: number;
  /** Bytes of padding that follow the payload in `bytes`, if it was opened from a packet; 0 if there are none to reuse. */
  padding: number;
  /** Whose bytes they are, where they may be read for longer than this call. Absent: they may not. */
  readonly lender?: Lender;
}

/** Bytes that stay for a while after they were shown. */
export interface Lender {
  /** `borrower` reads them until `settle` is called on it, which comes before they change or go. */
  lendTo(borrower: Borrower): void;
}

/** Who still reads what it was lent. */
export interface Borrower {
  /** Does now what the bytes are needed for. Never throws. */
  settle(): void;
}

/** The payload of a packet as a view (allocates one small object: not for bulk data). */
export function payloadOf(packet: PacketView): Uint8Array {
  return packet.bytes.subarray(packet.start, packet.end);
}

/** Message number of a packet. */
export function numberOf(packet: PacketView): number {
  return packet.bytes[packet.start] ?? 0;
}

/** User authentication and connection messages, and what RFC 4250 leaves to local extensions, but for PING and PONG. */
export function isForAbove(number: number): boolean {
  return (
    number === MSG.SERVICE_REQUEST ||
    number === MSG.SERVICE_ACCEPT ||
    (number >= MSG.USERAUTH_REQUEST && number !== MSG.PING && number !== MSG.PONG)
  );
}

/** Why a connection is over. */
export interface ConnClose {
  /**
   * `disconnected`: the peer sent SSH_MSG_DISCONNECT; `ended`: its stream ended without one; `failed`: `error` says why;
   * `local`: we closed it.
   */
  readonly kind: "disconnected" | "ended" | "failed" | "local";
  /** Reason code and text of SSH_MSG_DISCONNECT, when `disconnected` or `local`. */
  readonly reason?: number;
  readonly description?: string;
  readonly error?: unknown;
}

/** Who reads a PacketConn. Every method is called synchronously and must not throw on valid input. */
export interface PacketHandler {
  /**
   * One payload with a number of 5, 6, 50 or above (but 192 and 193): user authentication and connection messages. All other
   * transport messages end below the waist. A throw of a PosternError closes the connection with its reason.
   */
  packet(packet: PacketView): void;
  /** Asked before each packet: false leaves it, and all after it, where they are until `resume()`. Absent: always true. */
  ready?(): boolean;
  /** All that came in one piece has been shown: what was made of it can go out. */
  shown?(): void;
  /** Asked before we begin a key exchange of our own accord: false puts it off. Absent: always true. */
  mayRekey?(): boolean;
  /** `writable` became true again. */
  drain?(): void;
  /** The end, told once. */
  closed(close: ConnClose): void;
}

/**
 * The waist: packets of one SSH connection after its first key exchange. Everything above knows the transport by this alone.
 * Rekeying is invisible, but for `writable` turning false while it lasts.
 */
export interface PacketConn {
  /** Exchange hash of the first key exchange (RFC 4253, section 7.2). */
  readonly sessionId: Uint8Array;
  /** The peer's version line without line end. */
  readonly peerVersion: string;
  /** From the peer's latest EXT_INFO (RFC 8308). */
  readonly extensions: Extensions;
  /** The host key of this connection, as a blob: ours when we are the server. */
  readonly hostKey: Uint8Array;
  /** False while the socket is full or keys are being exchanged: what is sent now waits, up to a named limit. */
  readonly writable: boolean;
  /** Takes over reading. Until a handler is attached, nothing is read. */
  attach(handler: PacketHandler): void;
  /** Sends one payload (copied before the call returns). */
  send(payload: Uint8Array): void;
  /** Sends a packet that was opened on another connection, undecoded (copied before the call returns, unless it has a lender). */
  forward(packet: PacketView): void;
  /** Looks again at packets that `ready()` had left, and reads on. */
  resume(): void;
  /** Writes out what `send` and `forward` have gathered; otherwise that happens at the end of the turn. */
  flush(): void;
  /** Begins a key exchange of our own accord, unless one is under way. */
  rekey(): void;
  /** Whether a key exchange is unfinished. */
  readonly rekeying: boolean;
  /** Bytes received from and handed to the stream below. */
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** Sends SSH_MSG_DISCONNECT after all that was sent before, then closes. */
  disconnect(reason: number, description: string): void;
  /** Drops the connection at once. */
  destroy(): void;
}

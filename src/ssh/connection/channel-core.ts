import { Buffer } from "node:buffer";
import {
  decodeChannelData,
  decodeChannelRequest,
  decodeWindowAdjust,
  EXTENDED_DATA_STDERR,
  encodeChannelDataInto,
  encodeChannelRequest,
  encodeChannelSignal,
  encodeWindowAdjust,
  frameChannelData,
  MSG,
  channelDataHeadBytes,
  messageName,
} from "#ssh/messages";
import { AnswerQueue } from "./answer-queue.ts";
import { connectionErrors } from "./errors.ts";
import type { ConnectionLimits } from "./limits.ts";
import { ReceiveWindow, SendWindow } from "./window.ts";

/** A channel request as a handler sees it; `data` is what the request's type defines, and the handler's to keep. */
export interface IncomingRequest {
  readonly type: string;
  readonly wantReply: boolean;
  readonly data: Uint8Array;
}

/**
 * Answers a channel request: true for success. Called in the order of arrival; answers leave in that order too. A PosternError that
 * is thrown, or a rejection, closes the connection.
 */
export type RequestHandler = (request: IncomingRequest) => boolean | Promise<boolean>;

/** What a channel needs of its connection. */
export interface ChannelPort {
  readonly limits: ConnectionLimits;
  readonly writable: boolean;
  /** Others wait to send data: a new writer takes its turn behind them. */
  readonly contended: boolean;
  sendData(payload: Uint8Array): void;
  /** Anything but data: sent even while the connection is not writable. */
  sendControl(payload: Uint8Array): void;
  /** Calls `sendSome` when the connection is writable. */
  waitForRoom(core: ChannelCore): void;
  /** Both sides have closed the channel. */
  forget(core: ChannelCore): void;
  fail(error: unknown): void;
}

/** What the protocol tells the stream in front of it. */
export interface ChannelFace {
  /** Data came; `dataType` is undefined or stderr's. The bytes are lent for the call. */
  data(data: Uint8Array, dataType: number | undefined): void;
  /** The peer will send no more data. */
  eof(): void;
  /** The channel is over for the protocol: the peer closed it, or the connection is gone. */
  closed(by: "peer" | "connection"): void;
}

/** Numbers and sizes of both ends, known once the channel is open. */
export interface ChannelEnds {
  /** Our number, by which the peer calls the channel. */
  readonly ours: number;
  readonly theirs: number;
  readonly peerWindowBytes: number;
  readonly peerMaxPacketBytes: number;
}

interface PendingWrite {
  readonly dataType: number | undefined;
  readonly chunk: Uint8Array;
  offset: number;
  readonly done: () => void;
}

/** Of the last message of data; undefined while it is in use. */
let scratch: Buffer | undefined;

/** The protocol of one open channel (RFC 4254, sections 5.2 to 5.4), without the stream. */
export class ChannelCore {
  readonly ends: ChannelEnds;
  readonly #port: ChannelPort;
  readonly #face: ChannelFace;
  readonly #request: RequestHandler;
  readonly #receiveWindow: ReceiveWindow;
  readonly #sendWindow: SendWindow;
  readonly #maxSendBytes: number;
  readonly #answers: AnswerQueue<boolean>;
  readonly #writes: PendingWrite[] = [];
  readonly #asked: ((success: boolean) => void)[] = [];
  #sentEof = false;
  #sentClose = false;
  #gotEof = false;
  #gotClose = false;

  constructor(ends: ChannelEnds, port: ChannelPort, face: ChannelFace, request: RequestHandler) {
    this.ends = ends;
    this.#port = port;
    this.#face = face;
    this.#request = request;
    this.#receiveWindow = new ReceiveWindow(port.limits.windowBytes);
    this.#sendWindow = new SendWindow(ends.peerWindowBytes);
    this.#maxSendBytes = Math.min(ends.peerMaxPacketBytes, port.limits.maxPacketBytes);
    this.#answers = new AnswerQueue(
      port.limits.maxUnansweredRequests,
      (success) => this.#signal(success ? MSG.CHANNEL_SUCCESS : MSG.CHANNEL_FAILURE),
      (error) => port.fail(error),
    );
  }

  /** A message from 93 to 100. */
  receive(payload: Uint8Array): void {
    const number = payload[0] ?? 0;
    if (this.#gotClose) throw new connectionErrors.PEER_CHANNEL_ORDER(`${messageName(number)} after CLOSE`);
    switch (number) {
      case MSG.CHANNEL_WINDOW_ADJUST:
        this.#sendWindow.adjust(decodeWindowAdjust(payload).bytes);
        this.sendSome();
        return;
      case MSG.CHANNEL_DATA:
      case MSG.CHANNEL_EXTENDED_DATA:
        this.#data(payload);
        return;
      case MSG.CHANNEL_EOF:
        this.#eof();
        return;
      case MSG.CHANNEL_CLOSE:
        this.#peerClose();
        return;
      case MSG.CHANNEL_REQUEST:
        this.#incomingRequest(payload);
        return;
      case MSG.CHANNEL_SUCCESS:
      case MSG.CHANNEL_FAILURE: {
        const answer = this.#asked.shift();
        if (answer === undefined) throw new connectionErrors.PEER_REPLY_UNASKED(messageName(number));
        answer(number === MSG.CHANNEL_SUCCESS);
        return;
      }
      default:
        throw new connectionErrors.PEER_CHANNEL_ORDER(`${messageName(number)} on an open channel`);
    }
  }

  /** The reader has taken bytes: their room goes back to the peer. */
  consumed(bytes: number): void {
    const credit = this.#receiveWindow.consume(bytes);
    if (credit === 0 || this.#gotEof || this.#gotClose || this.#sentClose) return;
    this.#port.sendControl(encodeWindowAdjust({ recipient: this.ends.theirs, bytes: credit }));
  }

  /** Sends data as window and connection allow; `done` is called when the last byte has left, or the channel is closed. */
  write(chunk: Uint8Array, dataType: number | undefined, done: () => void): void {
    if (this.#sentEof || this.#sentClose || this.#gotClose || chunk.length === 0) {
      done();
      return;
    }
    this.#writes.push({ dataType, chunk, offset: 0, done });
    if (this.#port.contended) this.#port.waitForRoom(this);
    else this.sendSome();
  }

  /**
   * Sends as much of `bytes[start, end)` as may leave at this moment, and says how much that was; nothing is kept. Heads are written
   * before the data: `channelDataHeadBytes` before `start`, and what has been sent, are overwritten.
   */
  sendLent(bytes: Uint8Array, start: number, end: number): number {
    if (this.#sentEof || this.#sentClose || this.#gotClose) return end - start;
    let at = start;
    while (at < end && this.#writes.length === 0 && this.#sendWindow.leftBytes > 0) {
      if (this.#port.contended || !this.#port.writable) break;
      const length = Math.min(end - at, this.#sendWindow.leftBytes, this.#maxSendBytes);
      this.#sendWindow.take(length);
      this.#port.sendData(frameChannelData(bytes, at, at + length, this.ends.theirs));
      at += length;
    }
    return at - start;
  }

  /** Sends one message of data at a time until there is no data, no window or no room; for the last it asks to be called again. */
  sendSome(): void {
    while (this.#sendable()) {
      if (!this.#port.writable) {
        this.#port.waitForRoom(this);
        return;
      }
      this.sendOne();
    }
  }

  /** Sends one message of data, if there is any and the window allows. Returns whether another could follow. */
  sendOne(): boolean {
    const write = this.#writes[0];
    if (write === undefined || !this.#sendable()) return false;
    const length = Math.min(
      write.chunk.length - write.offset,
      this.#sendWindow.leftBytes,
      this.#maxSendBytes,
    );
    const data = write.chunk.subarray(write.offset, write.offset + length);
    const { dataType } = write;
    // All is settled before anything leaves: a send may come back here with the peer's answer.
    this.#sendWindow.take(length);
    write.offset += length;
    const complete = write.offset === write.chunk.length;
    // The channel's other stream takes its turn; chunks of one stream stay in order, as each has one write at a time.
    this.#writes.shift();
    if (!complete) this.#writes.push(write);
    this.#sendData(data, dataType);
    if (complete) write.done();
    return this.#sendable();
  }

  /** All data have been written. */
  end(): void {
    if (this.#sentEof || this.#sentClose) return;
    this.#sentEof = true;
    this.#signal(MSG.CHANNEL_EOF);
  }

  /** Closes our direction for good; data not yet sent are dropped. */
  close(): void {
    if (this.#sentClose) return;
    this.#sentClose = true;
    if (this.#gotClose) this.#port.forget(this);
    this.#port.sendControl(encodeChannelSignal(MSG.CHANNEL_CLOSE, this.ends.theirs));
    this.#dropWrites();
  }

  /** Resolves to whether it succeeded; to true at once if no reply is wanted, to false if the channel closes first. */
  request(type: string, data: Uint8Array, wantReply: boolean): Promise<boolean> {
    if (this.#sentClose || this.#gotClose) return Promise.resolve(false);
    const payload = encodeChannelRequest({ recipient: this.ends.theirs, type, wantReply, data });
    // The question is written down before it leaves: the reply could come within the send.
    const reply = wantReply
      ? new Promise<boolean>((resolve) => this.#asked.push(resolve))
      : Promise.resolve(true);
    this.#port.sendControl(payload);
    return reply;
  }

  /** The connection is gone. */
  lost(): void {
    const told = this.#gotClose;
    this.#gotClose = true;
    this.#sentClose = true;
    this.#dropWrites();
    this.#answerAsked();
    if (!told) this.#face.closed("connection");
  }

  /** What is sent is copied within the call: one buffer does for all messages, unless a send has come back here. */
  #sendData(data: Uint8Array, dataType: number | undefined): void {
    const needed = data.length + channelDataHeadBytes;
    const lent = scratch !== undefined && scratch.length >= needed ? scratch : Buffer.allocUnsafe(needed);
    scratch = undefined;
    try {
      const message = { recipient: this.ends.theirs, data, ...(dataType === undefined ? {} : { dataType }) };
      this.#port.sendData(encodeChannelDataInto(lent, message));
    } finally {
      scratch = lent;
    }
  }

  #sendable(): boolean {
    return this.#writes.length > 0 && this.#sendWindow.leftBytes > 0;
  }

  #data(payload: Uint8Array): void {
    const { data, dataType } = decodeChannelData(payload);
    if (this.#gotEof) throw new connectionErrors.PEER_CHANNEL_ORDER("data after EOF");
    if (data.length > this.#port.limits.maxPacketBytes) {
      throw new connectionErrors.PEER_WINDOW_EXCEEDED(`${data.length} bytes in one message`);
    }
    this.#receiveWindow.take(data.length);
    if (this.#sentClose) return;
    // Data of a type that nobody knows are consumed on the spot.
    if (dataType !== undefined && dataType !== EXTENDED_DATA_STDERR) this.consumed(data.length);
    else if (data.length > 0) this.#face.data(data, dataType);
  }

  #eof(): void {
    if (this.#gotEof) throw new connectionErrors.PEER_CHANNEL_ORDER("EOF twice");
    this.#gotEof = true;
    this.#face.eof();
  }

  #peerClose(): void {
    if (!this.#gotEof) {
      this.#gotEof = true;
      this.#face.eof();
    }
    this.#gotClose = true;
    // Promised answers that become known later are not sent any more.
    if (this.#sentClose) this.#port.forget(this);
    else this.close();
    this.#answerAsked();
    this.#face.closed("peer");
  }

  #incomingRequest(payload: Uint8Array): void {
    const { type, wantReply, data } = decodeChannelRequest(payload);
    if (wantReply) this.#answers.expectRoom();
    const answer = this.#request({ type, wantReply, data: Uint8Array.from(data) });
    if (wantReply) this.#answers.add(answer);
    else if (answer instanceof Promise) answer.catch((error: unknown) => this.#port.fail(error));
  }

  #signal(number: Parameters<typeof encodeChannelSignal>[0]): void {
    if (!this.#sentClose) this.#port.sendControl(encodeChannelSignal(number, this.ends.theirs));
  }

  #dropWrites(): void {
    for (const write of this.#writes.splice(0)) write.done();
  }

  #answerAsked(): void {
    for (const answer of this.#asked.splice(0)) answer(false);
  }
}

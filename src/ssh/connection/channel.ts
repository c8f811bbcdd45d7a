import { Buffer } from "node:buffer";
import { Duplex } from "node:stream";
import {
  channelDataHeadBytes,
  EXTENDED_DATA_STDERR,
  encodeExitSignal,
  encodeExitStatus,
  type ExitSignal,
} from "#ssh/messages";
import { ChannelCore, type ChannelEnds, type ChannelPort, type RequestHandler } from "./channel-core.ts";

/** How a command ended (RFC 4254, section 6.10). */
export type Exit = { readonly status: number } | ExitSignal;

export interface ChannelOptions {
  /** Answers the peer's requests on this channel. Absent: all fail. */
  readonly request?: RequestHandler;
  /** Drop what comes on stderr. Default: true for a channel that the peer opened, where nothing should come. */
  readonly discardStderr?: boolean;
}

interface Parts {
  readonly type: string;
  readonly ends: ChannelEnds;
  readonly port: ChannelPort;
  readonly options: ChannelOptions;
  /** CLOSE follows as soon as both directions have ended. */
  readonly closeWhenEnded: boolean;
  readonly discardStderr: boolean;
}

/** Reads from a buffer that only the window bounds, and knows what the reader has taken out of it. */
class WindowedDuplex extends Duplex {
  #core: ChannelCore | undefined;
  #dataType: number | undefined;
  #pushedBytes = 0;
  #consumedBytes = 0;
  #lend: ((bytes: Uint8Array) => void) | undefined;

  constructor() {
    // With autoDestroy an async iterator that comes to the end of reading would end writing too.
    super({ allowHalfOpen: true, autoDestroy: false, emitClose: true });
  }

  bind(core: ChannelCore, dataType: number | undefined): void {
    this.#core = core;
    this.#dataType = dataType;
  }

  /**
   * Reading without a copy of each message: `take` gets bytes that are lent for the call and count as read then. While the stream is
   * paused they are kept as always, and come to `take` when it flows again.
   */
  readLent(take: (bytes: Uint8Array) => void): void {
    this.#lend = take;
    this.on("data", take);
  }

  /** `data` are lent for the call. */
  arrived(data: Uint8Array): void {
    if (this.#lend !== undefined && this.readableFlowing === true && this.readableLength === 0) {
      this.#lend(data);
      this.#core?.consumed(data.length);
      return;
    }
    this.#pushedBytes += data.length;
    this.push(Buffer.from(data));
    this.#noticeConsumed();
  }

  override read(size?: number): unknown {
    const chunk: unknown = super.read(size);
    this.#noticeConsumed();
    return chunk;
  }

  override _read(): void {
    // Data come when the peer sends them; how many is for the window to say.
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    if (this.#core === undefined) done();
    else this.#core.write(chunk, this.#dataType, done);
  }

  #noticeConsumed(): void {
    const consumed = this.#pushedBytes - this.readableLength;
    const more = consumed - this.#consumedBytes;
    if (more <= 0) return;
    this.#consumedBytes = consumed;
    this.#core?.consumed(more);
  }
}

/**
 * One open channel as a stream. Reading and writing end apart (`allowHalfOpen`); `end()` sends EOF after the last byte, `destroy()`
 * sends CLOSE and drops what was not sent. When both directions have ended it is closed, but for sessions: there the server has to
 * call `finish`. It emits no error of its own: one that is lost is destroyed without `end`.
 *
 * Data that are not read hold the window, on `stderr` as well: read it or `resume()` it. When the peer has closed the channel, what
 * is written is dropped.
 */
export class Channel extends WindowedDuplex {
  readonly type: string;
  /** Extended data of type 1, in both directions; our direction ends with the channel's. */
  readonly stderr: Duplex;
  /** Resolves when the peer has closed the channel, or the connection is gone; what was received may still be unread. */
  readonly over: Promise<"peer" | "connection">;
  readonly #core: ChannelCore;
  #gotEof = false;
  #exit: Exit | undefined;

  constructor(parts: Parts) {
    super();
    this.type = parts.type;
    const stderr = new WindowedDuplex();
    this.stderr = stderr;
    const over = Promise.withResolvers<"peer" | "connection">();
    this.over = over.promise;
    const face = {
      data: (data: Uint8Array, dataType: number | undefined): void => {
        if (dataType === undefined) this.arrived(data);
        else stderr.arrived(data);
      },
      eof: (): void => {
        this.#gotEof = true;
        this.push(null);
        stderr.push(null);
      },
      closed: (by: "peer" | "connection"): void => {
        over.resolve(by);
        if (by === "connection") this.destroy();
        else if (this.readableEnded) this.destroy();
        else this.once("end", () => this.destroy());
      },
    };
    this.#core = new ChannelCore(parts.ends, parts.port, face, parts.options.request ?? (() => false));
    this.bind(this.#core, undefined);
    stderr.bind(this.#core, EXTENDED_DATA_STDERR);
    if (parts.closeWhenEnded) {
      const closeIfEnded = (): void => {
        if (this.readableEnded && this.writableFinished) this.destroy();
      };
      this.once("end", closeIfEnded);
      this.once("finish", closeIfEnded);
    }
    if (parts.options.discardStderr ?? parts.discardStderr) stderr.resume();
  }

  /** Our number of the channel. */
  get number(): number {
    return this.#core.ends.ours;
  }

  /** For the connection that made it. */
  get core(): ChannelCore {
    return this.#core;
  }

  /**
   * Writing without a copy: sends what of `bytes[start, end)` may leave at this moment and says how much; what is left is for `write`.
   * The `channelDataHeadBytes` before `start`, and what has been sent, are overwritten.
   */
  sendLent(bytes: Uint8Array, start: number, end: number): number {
    if (start < channelDataHeadBytes || this.writableLength > 0 || this.writableEnded || this.destroyed)
      return 0;
    return this.#core.sendLent(bytes, start, end);
  }

  /**
   * Makes a request of the peer. Resolves to whether it succeeded; to false if the channel closes first. Replies come in the order
   * of the requests.
   */
  request(type: string, data: Uint8Array = new Uint8Array(0)): Promise<boolean> {
    return this.#core.request(type, data, true);
  }

  /** Makes a request that wants no reply, as "window-change". */
  notify(type: string, data: Uint8Array = new Uint8Array(0)): void {
    void this.#core.request(type, data, false);
  }

  /** The server's way to end a session: all that was written, EOF, how it ended, CLOSE. Resolves when all that has left. */
  async finish(exit?: Exit): Promise<void> {
    if (!this.writableFinished && !this.destroyed) {
      await new Promise<void>((resolve) => {
        this.once("finish", resolve);
        this.once("close", resolve);
        this.end();
      });
    }
    this.#tellExit(exit);
    this.destroy();
  }

  /** For a session whose writer knows nothing of exits: how it ended is told when `end()` was called and all has left. */
  exitWhenEnded(exit: Exit): void {
    this.#exit = exit;
  }

  #tellExit(exit: Exit | undefined): void {
    if (exit !== undefined && "status" in exit) this.notify("exit-status", encodeExitStatus(exit.status));
    else if (exit !== undefined) this.notify("exit-signal", encodeExitSignal(exit));
  }

  override _final(done: (error?: Error | null) => void): void {
    // EOF is for the channel, so stderr's last byte must be out before it.
    this.stderr.end(() => {
      this.#core.end();
      this.#tellExit(this.#exit);
      done();
    });
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#core.close();
    // What has come whole on stderr may still be read.
    if (!this.#gotEof) this.stderr.destroy();
    done(error);
  }
}

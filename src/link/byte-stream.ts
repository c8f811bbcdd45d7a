import { Buffer } from "node:buffer";
import type { Duplex } from "node:stream";
import { Socket, type SocketConstructorOpts } from "node:net";
import { Channel } from "#ssh/connection";
import { alignedBytes } from "#ssh/transport";
import { bulkReadBytes, ReadPace, type ReadStep, Typing } from "./read-pace.ts";

/** What a link needs of a stream of bytes: reading into a lent buffer, writing several pieces, and the ends. */
export interface ByteStream {
  /**
   * Begins reading. `chunk` is called with bytes that are lent until it returns and may be overwritten, as may all that lies
   * before `start`; `steady` ones stay until the next call, so as long as the stream is paused. `end` is called once, with the error if
   * there was one.
   */
  start(chunk: Chunk, end: (error: Error | undefined) => void): void;
  pause(): void;
  resume(): void;
  /** Writes pieces in order, not to be changed until `done`. Returns true when the kernel has taken all: `done` is then not called. */
  write(pieces: readonly Uint8Array[], done: () => void): boolean;
  /**
   * Where there is such a way: writes what of `bytes[start, end)` goes without being kept, and says how much; what is left is for
   * `write`. Bytes before `start` and those written may be overwritten.
   */
  writeLent?(bytes: Uint8Array, start: number, end: number): number;
  /** Ends our direction after what was written, and calls `done` when the kernel has all of it. */
  finish(done: () => void): void;
  destroy(): void;
  /** Calls back once nothing can be read or written any more. */
  whenClosed(done: () => void): void;
}

/** Room before each chunk, for the part of a packet that came with the chunk before. Above the largest packet and its tag. */
const headroomBytes = 320 * 1024;

/**
 * One read: bytes per system call decide most of the cost of bulk data. Larger reads win nothing more, smaller ones lose much
 * (64 KiB costs twice as much in all).
 */
const readBytes = 1024 * 1024;

/** The same while somebody types on another socket: a turn then takes a quarter of a millisecond, and costs a tenth more by the byte. */
const shortReadBytes = 256 * 1024;

/**
 * The same while the answer to a keystroke is awaited: a fifteenth of a millisecond, and a fifth more by the byte. What goes on as it
 * came takes no longer for four times as much.
 */
const shortestReadBytes = 64 * 1024;

/** The same where many read what cannot be passed on at once: each of them keeps one read. */
const crowdReadBytes = 32 * 1024;

const typing = new Typing();

/** Sockets of a thread that may have a buffer of their own, for bytes that go on as they came, without a copy. */
const maxOwnBuffers = 16;

/** From a read of so many bytes on, and until so many others in a row have brought less. */
const ownFromBytes = 64 * 1024;
const readsBelow = 32;

/** Buffers of their own that no socket has now, and how many there are in all. */
const ownFree: LentBuffer[] = [];
let ownMade = 0;

function ownBuffer(): LentBuffer | undefined {
  const free = ownFree.pop();
  if (free !== undefined || ownMade === maxOwnBuffers) return free;
  ownMade++;
  return parts(alignedBytes(readBytes), 0);
}

function parts(whole: Uint8Array, headroom: number): LentBuffer {
  const read = whole.subarray(headroom);
  const first = (bytes: number): Uint8Array => read.subarray(0, bytes);
  return {
    whole,
    read,
    crowdRead: first(crowdReadBytes),
    typed: { no: read, "on and off": first(shortReadBytes), "just now": first(shortestReadBytes) },
  };
}

/**
 * All other sockets of the thread read into the same buffer: each chunk is dealt with, or copied aside, before the next read, so an idle
 * connection owns none.
 */
let lent: LentBuffer | undefined;

interface LentBuffer {
  readonly whole: Uint8Array;
  readonly read: Uint8Array;
  readonly crowdRead: Uint8Array;
  /** By whether somebody types. */
  readonly typed: Readonly<Record<ReturnType<Typing["going"]>, Uint8Array>>;
}

function lentBuffer(): LentBuffer {
  lent ??= parts(alignedBytes(headroomBytes + readBytes), headroomBytes);
  return lent;
}

/**
 * The byte stream of any Duplex: a socket by its handle, a channel by what its connection lends, everything else by its events. What others have read of it and put back
 * (`unshift`) comes first. A socket asks `crowded` before each read: whether many others wait to pass on what they have read.
 * `passesOn`: for one who writes what came elsewhere as it is, and pauses the stream until that is done.
 */
export function byteStreamOf(
  stream: Duplex,
  crowded: () => boolean = () => false,
  passesOn = false,
): ByteStream {
  if (stream instanceof Channel) return new ChannelStream(stream);
  const handle = stream instanceof Socket ? handleOf(stream) : undefined;
  if (handle === undefined) return new DuplexStream(stream);
  return new SocketStream(stream as Socket, handle, takeUnread(stream as Socket), crowded, passesOn);
}

/** Stops a socket's reading for the rest of this turn of the event loop, and takes out what it has read already. */
export function takeUnread(socket: Socket): Uint8Array {
  const pieces: Uint8Array[] = [];
  while (socket.readableLength > 0) pieces.push(socket.read() as Uint8Array);
  // Taking out lets it read on.
  const handle = (socket as unknown as SocketWithHandle)._handle;
  if (socket.bytesRead > 0 && handle !== null) {
    handle.reading = false;
    handle.readStop();
  }
  return pieces.length === 0 ? nothing : Buffer.concat(pieces);
}

const nothing = new Uint8Array(0);

/** Undocumented, and the same in Node 20, 24 and 26 (there is a test): the handle under a plain socket. TLS sockets have none of their own. */
interface SocketWithHandle {
  _handle: { reading: boolean; readStop(): void } | null;
}

function handleOf(socket: Socket): object | undefined {
  if (socket.constructor !== Socket || socket.readableFlowing === true) return undefined;
  if (socket.connecting || socket.destroyed || socket.readableEnded) return undefined;
  return (socket as unknown as SocketWithHandle)._handle ?? undefined;
}

type Chunk = (bytes: Uint8Array, start: number, end: number, steady: boolean) => void;

/** Writes of both kinds are the same. */
abstract class StreamBase implements ByteStream {
  protected abstract readonly stream: Duplex;

  abstract start(chunk: Chunk, end: (error: Error | undefined) => void): void;

  pause(): void {
    this.stream.pause();
  }

  resume(): void {
    this.stream.resume();
  }

  write(pieces: readonly Uint8Array[], done: () => void): boolean {
    const { stream } = this;
    const last = pieces.length - 1;
    if (last < 0) return true;
    if (stream.destroyed || stream.writableEnded) return true;
    let taken = false;
    if (last > 0) stream.cork();
    for (const [n, piece] of pieces.entries()) {
      stream.write(
        piece,
        n < last
          ? undefined
          : () => {
              if (!taken) done();
            },
      );
    }
    if (last > 0) stream.uncork();
    // The callback comes later in any case; nothing left to write means that the kernel has it all.
    taken = stream.writableLength === 0;
    return taken;
  }

  finish(done: () => void): void {
    if (!this.stream.destroyed) this.stream.end(done);
  }

  destroy(): void {
    this.stream.destroy();
  }

  whenClosed(done: () => void): void {
    if (this.stream.closed) queueMicrotask(done);
    else this.stream.once("close", done);
  }

  protected listen(end: (error: Error | undefined) => void): void {
    let told = false;
    const once = (error?: Error): void => {
      if (told) return;
      told = true;
      end(error);
    };
    this.stream.on("error", once);
    this.stream.on("end", () => once());
    this.stream.on("close", () => once());
    // It ended before anybody listened.
    if (this.stream.readableEnded) queueMicrotask(once);
  }
}

class SocketStream extends StreamBase {
  protected readonly stream: Socket;
  #chunk: Chunk = () => {};
  #paused = false;
  /** Not reading for a moment, of its own accord. */
  #resting = false;
  readonly #pace = new ReadPace();
  /** Of the read to come. */
  #bufferBytes = readBytes;
  #buffer: LentBuffer = lentBuffer();
  /** Instead of the buffer that is everybody's, from the next read on. */
  #own: LentBuffer | undefined;
  /** Reads in a row that brought little. */
  #below = 0;
  /** When bulk data were last read or written here, in milliseconds of `performance`. The small packets of a login are not typed. */
  #bulkAt = performance.now();
  readonly #unread: Uint8Array;

  /** Takes the handle over into a socket that reads into the lent buffer; the socket given is an empty shell afterwards. */
  constructor(socket: Socket, handle: object, unread: Uint8Array, crowded: () => boolean, passesOn: boolean) {
    super();
    this.#unread = unread;
    // `handle` and `pauseOnCreate` are what net.Server itself uses for the sockets that it accepts.
    const options: Omit<SocketConstructorOpts, "handle"> & { handle: object; pauseOnCreate: boolean } = {
      handle,
      allowHalfOpen: true,
      pauseOnCreate: true,
      onread: {
        // Asked for the read to come, as soon as the one before is dealt with.
        buffer: () => {
          this.#buffer = this.#own ?? lentBuffer();
          const { crowdRead, typed } = this.#buffer;
          const going = typing.going(performance.now());
          const buffer = crowded()
            ? crowdRead
            : typed[passesOn && going === "just now" ? "on and off" : going];
          this.#bufferBytes = buffer.length;
          return buffer;
        },
        callback: (bytes): boolean => {
          const now = performance.now();
          this.#note(bytes, now);
          const { whole, read } = this.#buffer;
          const start = whole.length - read.length;
          this.#chunk(whole, start, start + bytes, this.#buffer === this.#own);
          if (passesOn) this.#choose(bytes);
          if (!this.#paused) this.#pauseBriefly(this.#pace.after(bytes, this.#bufferBytes, now));
          return !this.#paused && !this.#resting;
        },
      },
    };
    this.stream = new Socket(options as SocketConstructorOpts);
    (socket as unknown as SocketWithHandle)._handle = null;
    // Without its handle, this only gives the server's count of connections back.
    socket.destroy();
    this.stream.setNoDelay(true);
  }

  start(chunk: Chunk, end: (error: Error | undefined) => void): void {
    this.#chunk = chunk;
    this.listen(end);
    if (this.#unread.length > 0) chunk(this.#unread, 0, this.#unread.length, false);
    if (!this.#paused) this.stream.resume();
  }

  override pause(): void {
    this.#paused = true;
    this.stream.pause();
  }

  override resume(): void {
    this.#paused = false;
    if (!this.#resting) this.stream.resume();
  }

  override write(pieces: readonly Uint8Array[], done: () => void): boolean {
    if (pieces.length > 1 || (pieces[0]?.length ?? 0) >= bulkReadBytes) this.#bulkAt = performance.now();
    return super.write(pieces, done);
  }

  override destroy(): void {
    super.destroy();
    this.#release();
  }

  /** Whether the next read is to go into a buffer of its own. */
  #choose(bytes: number): void {
    if (this.stream.destroyed) return;
    this.#below = bytes < ownFromBytes ? this.#below + 1 : 0;
    if (this.#own === undefined && this.#below === 0) this.#own = ownBuffer();
    // What was read may still be on its way out.
    else if (this.#below > readsBelow && !this.#paused) this.#release();
  }

  #release(): void {
    if (this.#own !== undefined) ownFree.push(this.#own);
    this.#own = undefined;
  }

  #note(bytes: number, now: number): void {
    if (bytes >= bulkReadBytes) this.#bulkAt = now;
    else typing.note(bytes, this.#bulkAt, now);
  }

  #pauseBriefly(step: ReadStep): void {
    if (step === "on") return;
    this.#resting = true;
    const readOn = (): void => {
      this.#resting = false;
      if (!this.#paused) this.stream.resume();
    };
    // After a read that filled the buffer Node would read on, up to 32 times, before any other socket has its turn.
    if (step === "give-way") setImmediate(readOn);
    else setTimeout(readOn, step);
  }
}

class DuplexStream extends StreamBase {
  protected readonly stream: Duplex;

  constructor(stream: Duplex) {
    super();
    this.stream = stream;
    if (stream instanceof Socket) stream.setNoDelay(true);
  }

  start(chunk: Chunk, end: (error: Error | undefined) => void): void {
    this.listen(end);
    this.read((bytes) => chunk(bytes, 0, bytes.length, false));
    this.stream.resume();
  }

  protected read(take: (bytes: Uint8Array) => void): void {
    this.stream.on("data", take);
  }
}

class ChannelStream extends DuplexStream {
  readonly #channel: Channel;

  constructor(channel: Channel) {
    super(channel);
    this.#channel = channel;
  }

  protected override read(take: (bytes: Uint8Array) => void): void {
    this.#channel.readLent(take);
  }

  writeLent(bytes: Uint8Array, start: number, end: number): number {
    return this.#channel.sendLent(bytes, start, end);
  }
}

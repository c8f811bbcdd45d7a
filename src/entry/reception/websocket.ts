import { Duplex } from "node:stream";
import type { Clock, Timer } from "#base";
import type { WebSocket } from "ws";
import { entryErrors } from "../errors.ts";

/** A message of a client's, however many frames it comes in; more ends the connection with code 1009. */
export const maxWebSocketMessageBytes: number = 1024 * 1024;

/** Frames of ours are no longer: some clients take 64 KiB at a time and no more. */
const frameBytes = 32 * 1024;

/** Time for a client that has closed, or is closed, to be let go. */
const lingerMs = 2_000;

/** Close codes (RFC 6455, section 7.4.1). */
const codes = { normal: 1000, goingAway: 1001, unsupported: 1003 } as const;

export interface WebSocketOptions {
  readonly clock: Clock;
  /** Silence after which the client is asked whether it is there; 0: never. */
  readonly pingMs: number;
  /** Unanswered questions after which it is dropped. */
  readonly maxMissed: number;
}

/** What the binary messages of a WebSocket carry, as a stream. It owns the WebSocket. There is no half-close: one end ends both. */
export class WebSocketStream extends Duplex {
  readonly #socket: WebSocket;
  readonly #clock: Clock;
  #missed = 0;
  #ping: Timer | undefined;
  #linger: Timer | undefined;

  constructor(socket: WebSocket, { clock, pingMs, maxMissed }: WebSocketOptions) {
    super();
    this.#socket = socket;
    this.#clock = clock;
    socket.on("message", (data, isBinary) => {
      this.#missed = 0;
      if (!isBinary) {
        socket.close(codes.unsupported, "binary frames only");
        this.destroy(new entryErrors.PEER_WEBSOCKET("a frame of text"));
      } else if (Buffer.isBuffer(data) && !this.push(data)) socket.pause();
    });
    socket.on("pong", () => (this.#missed = 0));
    socket.on("error", (error) =>
      this.destroy(new entryErrors.PEER_WEBSOCKET(error.message, { cause: error })),
    );
    socket.on("close", (code) => this.#closed(code));
    if (pingMs > 0) this.#watch(pingMs, maxMissed);
  }

  override _read(): void {
    if (this.#socket.isPaused) this.#socket.resume();
  }

  override _write(chunk: Uint8Array, _encoding: string, done: (error?: Error | null) => void): void {
    const socket = this.#socket;
    // Nobody reads it any more: what is upstream learns that by the end that follows.
    if (socket.readyState !== socket.OPEN) {
      done();
      return;
    }
    let at = 0;
    for (; chunk.length - at > frameBytes; at += frameBytes)
      socket.send(chunk.subarray(at, at + frameBytes), { binary: true });
    socket.send(chunk.subarray(at), { binary: true }, (error) => done(error));
  }

  override _final(done: (error?: Error | null) => void): void {
    const socket = this.#socket;
    if (socket.readyState === socket.CLOSED) {
      done();
      return;
    }
    socket.once("close", () => done());
    if (socket.isPaused) socket.resume();
    socket.close(codes.normal);
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#ping?.[Symbol.dispose]();
    this.#linger?.[Symbol.dispose]();
    const socket = this.#socket;
    if (socket.readyState !== socket.CLOSED) {
      const limit = this.#clock.after(lingerMs, () => socket.terminate());
      socket.once("close", () => limit[Symbol.dispose]());
      if (socket.isPaused) socket.resume();
      socket.close(codes.goingAway);
    }
    done(error);
  }

  #closed(code: number): void {
    this.#ping?.[Symbol.dispose]();
    // 1006: it went without a word.
    if (code === 1006) this.destroy();
    if (this.destroyed) return;
    this.push(null);
    // What it sent last may reach the target; what the target still says reaches nobody.
    this.#linger = this.#clock.after(lingerMs, () => this.destroy());
  }

  /** A client that says nothing and answers nothing is dropped. One that we do not listen to is not blamed for that. */
  #watch(pingMs: number, maxMissed: number): void {
    this.#ping = this.#clock.after(pingMs, () => {
      const socket = this.#socket;
      if (socket.readyState === socket.OPEN) {
        if (socket.isPaused) this.#missed = 0;
        else if (this.#missed++ >= maxMissed) {
          socket.terminate();
          this.destroy(new entryErrors.PEER_WEBSOCKET("no answer to pings"));
          return;
        }
        socket.ping();
      }
      this.#watch(pingMs, maxMissed);
    });
  }
}

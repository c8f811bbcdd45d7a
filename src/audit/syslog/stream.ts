import { connect, type Socket } from "node:net";
import type { Clock, HostPort, Timer } from "#base";

/** Waiting for a server that is away or slow; what comes when this is full is lost and counted (docs/limits.md). */
const maxWaitingBytes = 4 * 1024 * 1024;
const firstRetryMs = 1000;
const maxRetryMs = 30_000;
/** How long the end waits for what is still to be sent. */
const farewellMs = 2000;

/** Messages to a syslog server over TCP, each with its length in front (RFC 6587, section 3.4.1). Connects anew by itself. */
export class SyslogStream {
  readonly #server: HostPort;
  readonly #clock: Clock;
  readonly #lostTold: (events: number) => void;
  #socket: Socket | undefined;
  #connected = false;
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #lost = 0;
  #retryMs = firstRetryMs;
  #retry: Timer | undefined;
  #closed = false;

  /** `lost` is told how many messages were lost until now, at each. */
  constructor(server: HostPort, clock: Clock, lost: (events: number) => void) {
    this.#server = server;
    this.#clock = clock;
    this.#lostTold = lost;
    this.#connect();
  }

  write(message: Buffer): void {
    const frame = Buffer.concat([Buffer.from(`${message.length} `), message]);
    const held = this.#waitingBytes + (this.#socket?.writableLength ?? 0);
    if (this.#closed || held + frame.length > maxWaitingBytes) {
      this.#lostTold(++this.#lost);
    } else if (this.#connected) this.#socket?.write(frame);
    else {
      this.#waiting.push(frame);
      this.#waitingBytes += frame.length;
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#retry?.[Symbol.dispose]();
    const socket = this.#socket;
    if (socket === undefined || !this.#connected) {
      socket?.destroy();
      if (this.#waiting.length > 0) this.#lostTold((this.#lost += this.#waiting.length));
      return;
    }
    await new Promise<void>((resolve) => {
      const limit = this.#clock.after(farewellMs, () => socket.destroy());
      socket.once("close", () => {
        limit[Symbol.dispose]();
        resolve();
      });
      socket.end(() => socket.destroy());
    });
  }

  #connect(): void {
    const socket = connect(this.#server);
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.unref();
    // A server says nothing; what it says is thrown away, so that its end is seen.
    socket.resume();
    socket.on("error", () => {});
    socket.once("connect", () => {
      this.#connected = true;
      this.#retryMs = firstRetryMs;
      for (const frame of this.#waiting.splice(0)) socket.write(frame);
      this.#waitingBytes = 0;
    });
    socket.once("close", () => {
      this.#connected = false;
      this.#socket = undefined;
      if (this.#closed) return;
      this.#retry = this.#clock.after(this.#retryMs, () => this.#connect());
      this.#retryMs = Math.min(this.#retryMs * 2, maxRetryMs);
    });
  }
}

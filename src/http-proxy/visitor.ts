import type { Duplex } from "node:stream";
import type { Clock, Timer } from "#base";
import type { Device, WebClient } from "#contract";
import type { LetIn } from "./gate.ts";

/** Requests of one connection of HTTP/1.1 that came before those ahead of them were answered: browsers send none. */
export const maxPipelined: number = 32;

/** Time between two requests of one connection, to the whole head of what comes next. */
const betweenMs = 60_000;

/** One client's connection. */
export class Visitor {
  readonly client: WebClient;
  readonly gone: Promise<void>;
  readonly #stream: Duplex;
  readonly #clock: Clock;
  readonly #told = new Set<string>();
  #busy = 0;
  #between: Timer | undefined;
  #last: Promise<void> = Promise.resolve();
  #device: Device | undefined;

  constructor(stream: Duplex, client: WebClient, clock: Clock) {
    this.#stream = stream;
    this.client = client;
    this.#clock = clock;
    stream.on("error", () => {});
    this.gone = new Promise((resolve) => {
      if (stream.closed) resolve();
      else
        stream.once("close", () => {
          this.#between?.[Symbol.dispose]();
          resolve();
        });
    });
    this.#wait();
  }

  /** One request after the other; more than a few that wait end the connection. */
  async inTurn(deal: () => Promise<void>): Promise<void> {
    if (this.#busy >= maxPipelined) {
      this.#stream.destroy();
      return;
    }
    const turn = this.#last.then(async () => {
      // What follows an answer that ended the connection is not read any more.
      if (!this.#stream.destroyed && !this.#stream.writableEnded) await deal();
    });
    this.#last = turn.catch(() => {});
    await this.beside(() => turn);
  }

  /** While requests are under way, each has its own time. */
  async beside(deal: () => Promise<void>): Promise<void> {
    this.#busy++;
    this.#between?.[Symbol.dispose]();
    try {
      await deal();
    } catch {
      this.#stream.destroy();
    } finally {
      this.#busy--;
      if (this.#busy === 0) this.#wait();
    }
  }

  /** Each outcome once for a connection: pages ask for many things. */
  tell(
    device: Device,
    about: {
      readonly outcome: "opened";
      readonly by: LetIn;
      readonly rule: string | undefined;
      readonly user: string | undefined;
    },
  ): void {
    this.#device = device;
    const text = [device.id, about.by, about.user ?? ""].join(" ");
    if (this.#told.has(text)) return;
    this.#told.add(text);
    this.client.desk.audit?.({ event: "web", device: device.name, ...about });
  }

  tellFailed(reason: string): void {
    if (this.#device === undefined || this.#told.has(reason)) return;
    this.#told.add(reason);
    this.client.desk.audit?.({ event: "web", device: this.#device.name, outcome: "failed", reason });
  }

  #wait(): void {
    if (!this.#stream.destroyed)
      this.#between = this.#clock.after(betweenMs, () => void this.#stream.destroy());
  }
}

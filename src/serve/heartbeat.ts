import type { Clock, Timer } from "#base";
import type { ServedSession } from "#contract";
import type { ConnectionMux } from "#ssh/connection";
import { DISCONNECT } from "#ssh/messages";

/** Notices a dead client: after an interval in which nothing came it is asked something that it must answer. */
export class Heartbeat implements Disposable {
  readonly #mux: ConnectionMux;
  readonly #session: Pick<ServedSession, "conn" | "keepalive">;
  #timer: Timer | undefined;
  #bytesIn: number;
  #missed = 0;

  constructor(mux: ConnectionMux, session: Pick<ServedSession, "conn" | "keepalive">, clock: Clock) {
    const { conn, keepalive } = session;
    this.#mux = mux;
    this.#session = session;
    this.#bytesIn = conn.bytesIn;
    if (keepalive.intervalMs > 0) this.#timer = clock.after(keepalive.intervalMs, () => this.#look());
  }

  #look(): void {
    const { conn, keepalive } = this.#session;
    const heard = conn.bytesIn !== this.#bytesIn;
    this.#bytesIn = conn.bytesIn;
    this.#timer?.refresh();
    if (heard) {
      this.#missed = 0;
      return;
    }
    if (this.#missed++ >= keepalive.maxMissed) {
      this.#mux.disconnect(DISCONNECT.CONNECTION_LOST, "no answer");
      return;
    }
    // A question for each silent interval would pile up at a socket that takes nothing.
    if (conn.writable) void this.#mux.request("keepalive@openssh.com");
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
  }
}

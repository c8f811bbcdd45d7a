import { createHmac, randomBytes } from "node:crypto";
import { type Clock, networkOf } from "#base";
import type { PeerAddress, ShownLogin, WebProof } from "#contract";

/** Logins of one network that wait for those before them; more are told to come later. */
export const maxWaitingLogins = 8;

/** Programs send name and password with each request: for this long they are not judged again. */
const knownMs = 30_000;
export const maxKnownLogins = 1000;

/**
 * Passwords are tried one after the other for each network, however many connections and streams they come by: a refusal is slow by
 * itself, and that must count for all of them together.
 */
export class Attempts {
  readonly #clock: Clock;
  readonly #lines = new Map<string, { waiting: number; last: Promise<unknown> }>();
  readonly #known = new Map<string, { readonly proof: WebProof; readonly untilMs: number }>();
  /** Nothing that is kept tells a password. */
  readonly #key = randomBytes(32);

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Undefined: too many wait already. */
  async inTurn<T>(from: PeerAddress, judge: () => Promise<T>): Promise<T | undefined> {
    const network = from.ip === undefined ? "" : networkOf(from.ip, 32, 64);
    const line = this.#lines.get(network) ?? { waiting: 0, last: Promise.resolve() };
    if (line.waiting >= maxWaitingLogins) return undefined;
    line.waiting++;
    this.#lines.set(network, line);
    const mine = line.last.then(judge);
    line.last = mine.catch(() => {});
    try {
      return await mine;
    } finally {
      line.waiting--;
      if (line.waiting === 0) this.#lines.delete(network);
    }
  }

  /** What this very login has proven a moment ago. */
  known(login: ShownLogin, from: PeerAddress): WebProof | undefined {
    const found = this.#known.get(this.#nameOf(login, from));
    return found !== undefined && this.#clock.monotonic() < found.untilMs ? found.proof : undefined;
  }

  remember(login: ShownLogin, from: PeerAddress, proof: WebProof): void {
    const name = this.#nameOf(login, from);
    this.#known.delete(name);
    this.#known.set(name, { proof, untilMs: this.#clock.monotonic() + knownMs });
    const [oldest] = this.#known.keys();
    if (this.#known.size > maxKnownLogins && oldest !== undefined) this.#known.delete(oldest);
  }

  #nameOf({ user, password }: ShownLogin, { ip = "" }: PeerAddress): string {
    const hash = createHmac("sha256", this.#key)
      .update(`${ip} ${Buffer.byteLength(user)} ${user}`)
      .update(password);
    return hash.digest("base64");
  }
}

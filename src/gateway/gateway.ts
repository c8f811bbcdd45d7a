import { type Clock, type Log, newSessionId, type PosternError } from "#base";
import type { Arrival, SessionRecord } from "#contract";
import { PathLocks } from "#sftp";
import type { Ticket } from "./admission.ts";
import type { FailureDelays } from "./failure-delays.ts";
import { FrontSession, type LiveSession } from "./front-session.ts";
import { Session } from "./session.ts";
import type { World } from "./world.ts";

export interface GatewayOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly delays: FailureDelays;
}

interface Held {
  readonly world: World;
  sessions: number;
  replaced: boolean;
}

/** Sessions within sessions; deeper ones are refused. */
export const maxDepth = 8;

/** Clients within one session that have not logged in yet; more are refused. */
export const maxInnerStartups = 10;

/** Takes clients that come in by a session. They need no place of their own at the door: the one that they come through has one. */
function innerArrivals(
  start: (arrival: Arrival, ticket: Ticket) => void,
  { depth = 0 }: Arrival,
): (arrival: Arrival) => boolean {
  let startups = 0;
  return (arrival) => {
    if (depth >= maxDepth || startups >= maxInnerStartups) return false;
    startups++;
    let waiting = true;
    const authenticated = (): void => {
      if (waiting) startups--;
      waiting = false;
    };
    start({ ...arrival, depth: depth + 1 }, { authenticated, [Symbol.dispose]: authenticated });
    return true;
  };
}

/** All live sessions, and the world that the next one will begin in. */
export class Gateway {
  readonly #options: GatewayOptions;
  readonly #sessions = new Map<string, LiveSession>();
  /** The present one, and those that old sessions still live in. */
  readonly #worlds = new Set<World>();
  #held: Held;
  #empty: (() => void) | undefined;

  /** Of all sessions, whatever world they began with. */
  readonly #locks = new PathLocks();

  constructor(world: World, options: GatewayOptions) {
    this.#options = options;
    this.#held = { world, sessions: 0, replaced: false };
    this.#worlds.add(world);
  }

  get world(): World {
    return this.#held.world;
  }

  get sessions(): readonly SessionRecord[] {
    return [...this.#sessions.values()].map((session) => session.record);
  }

  /** For whoever comes from now on; those who are in keep what they began with. */
  replaceWorld(world: World): void {
    const old = this.#held;
    this.#held = { world, sessions: 0, replaced: false };
    this.#worlds.add(world);
    old.replaced = true;
    void this.#disposeUnused(old);
  }

  start(arrival: Arrival, ticket: Ticket): void {
    const held = this.#held;
    const { clock, delays } = this.#options;
    const id = newSessionId();
    const { world } = held;
    const log = world.router.shown.log(this.#options.log.child({ session: id }));
    const arrive = innerArrivals((inner, place) => this.start(inner, place), arrival);
    const options = { id, arrival, arrive, ticket, world, delays, clock, log, locks: this.#locks };
    const session = world.reception.takes(arrival)
      ? new FrontSession(options, world.reception)
      : new Session(options);
    this.#sessions.set(id, session);
    held.sessions++;
    void session.run().finally(() => {
      this.#sessions.delete(id);
      held.sessions--;
      if (this.#sessions.size === 0) this.#empty?.();
      void this.#disposeUnused(held);
    });
  }

  /** Ends one session; false if there is none of that id. */
  close(id: string, why: PosternError): boolean {
    const session = this.#sessions.get(id);
    session?.close(why);
    return session !== undefined;
  }

  closeAll(why: PosternError): void {
    for (const session of this.#sessions.values()) session.close(why);
  }

  notifyAll(text: string): void {
    for (const session of this.#sessions.values()) session.notify(text);
  }

  /** After a rotation of its files. */
  reopenAudit(): void {
    for (const { audit } of this.#worlds) audit?.reopen();
  }

  /** Resolves when there is no session (any more). */
  async whenEmpty(): Promise<void> {
    if (this.#sessions.size === 0) return;
    await new Promise<void>((resolve) => {
      const before = this.#empty;
      this.#empty = () => {
        before?.();
        resolve();
      };
    });
  }

  async #disposeUnused(held: Held): Promise<void> {
    if (!held.replaced || held.sessions > 0) return;
    this.#worlds.delete(held.world);
    try {
      await held.world[Symbol.asyncDispose]();
    } catch (error) {
      this.#options.log.error("world-not-disposed", { error });
    }
  }
}

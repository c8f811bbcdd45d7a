import type { AcmeDesks } from "#acme";
import type { ApiTurns } from "#admin";
import type { Clock, Log, PosternError, RootLog } from "#base";
import type { Arrival, Pools, SessionRecord } from "#contract";
import { FailureDelays, Gateway, gatewayErrors, type Ticket } from "#gateway";
import { compose, type Composed } from "./compose.ts";
import type { SignIns } from "#http-proxy";
import type { Devices } from "./devices.ts";
import type { Files } from "./files.ts";
import type { ReadConfig } from "./read-config.ts";
import type { TargetWatch } from "./target-watch.ts";

/** Why sessions are ended from here. */
export type EndReason = "stopping" | "operator";

/** A world made, not yet at work. */
export interface PreparedWorld extends AsyncDisposable {
  commit(): void;
}

/** Who lives the sessions: this process itself, or workers. */
export interface Crew extends AsyncDisposable {
  start(arrival: Arrival, ticket: Ticket): void;
  /** Throws OPERATOR_ errors; the old world stays at work until `commit`. */
  prepare(read: ReadConfig): Promise<PreparedWorld>;
  sessions(): Promise<readonly SessionRecord[]>;
  /** Ends one session; false if there is none of that id. */
  close(id: string, reason: EndReason): Promise<boolean>;
  closeAll(reason: EndReason): void;
  /** Tells everybody who is in. */
  notifyAll(text: string): void;
  setLogLevel(level: RootLog["level"]): void;
  reopenLog(): void;
  /** Resolves when there is no session (any more). */
  whenEmpty(): Promise<void>;
  /** Process ids of workers; none if there are none. */
  readonly workers: readonly number[];
}

export interface LocalCrewOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly files: Files;
  readonly pools: Pools;
  readonly devices?: Devices | undefined;
  readonly signIns?: SignIns;
  readonly acme?: AcmeDesks;
  readonly turns?: ApiTurns;
  /** Where there are no workers. */
  readonly watch?: TargetWatch;
}

/** All sessions in this process. */
export class LocalCrew implements Crew {
  readonly workers: readonly number[] = [];
  readonly #options: LocalCrewOptions;
  readonly #gateway: Gateway;
  readonly #delays: FailureDelays;

  constructor(composed: Composed, options: LocalCrewOptions) {
    const { clock, log } = options;
    this.#options = options;
    this.#delays = new FailureDelays({
      clock,
      secret: composed.timingSecret,
      passwordFloorMs: composed.config.limits.failureDelaySeconds * 1000,
    });
    this.#gateway = new Gateway(composed.world, { clock, log, delays: this.#delays });
  }

  start(arrival: Arrival, ticket: Ticket): void {
    this.#gateway.start(arrival, ticket);
  }

  async prepare({ config }: Pick<ReadConfig, "config">): Promise<PreparedWorld> {
    await using made = new AsyncDisposableStack();
    const { watch } = this.#options;
    const targets = watch === undefined ? undefined : made.use(await watch.prepare(config));
    const { world } = await compose(config, this.#options);
    made.use(world);
    const owned = made.move();
    let committed = false;
    return {
      commit: () => {
        committed = true;
        targets?.commit();
        this.#delays.passwordFloorMs = config.limits.failureDelaySeconds * 1000;
        this.#gateway.replaceWorld(world);
      },
      [Symbol.asyncDispose]: async () => {
        if (!committed) await owned.disposeAsync();
      },
    };
  }

  async sessions(): Promise<readonly SessionRecord[]> {
    return this.#gateway.sessions;
  }

  async close(id: string, reason: EndReason): Promise<boolean> {
    return this.#gateway.close(id, errorOf(reason));
  }

  closeAll(reason: EndReason): void {
    this.#gateway.closeAll(errorOf(reason));
  }

  notifyAll(text: string): void {
    this.#gateway.notifyAll(text);
  }

  /** The log is this process's own: who holds the crew sees to it. */
  setLogLevel(): void {}

  reopenLog(): void {
    this.#gateway.reopenAudit();
  }

  async whenEmpty(): Promise<void> {
    await this.#gateway.whenEmpty();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.closeAll("stopping");
    await this.whenEmpty();
    await this.#gateway.world[Symbol.asyncDispose]();
  }
}

function errorOf(reason: EndReason): PosternError {
  return reason === "stopping"
    ? new gatewayErrors.DENIED_SHUTTING_DOWN()
    : new gatewayErrors.DENIED_BY_OPERATOR();
}

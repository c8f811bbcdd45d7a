import { type Clock, formatHostPort, type HostPort, type Log, PosternError } from "#base";
import type {
  Arrival,
  Auditor,
  JumpDesk,
  JumpJoined,
  JumpOpened,
  JumpQuestion,
  ListedTarget,
  Reached,
  Restrictions,
  Route,
  SpliceRoute,
} from "#contract";
import { Splice } from "#splice";
import { mayOpen } from "#ssh/keys";
import type { Duplex } from "node:stream";
import { gatewayErrors } from "./errors.ts";
import type { Permissions } from "./permissions.ts";
import { routeToTarget } from "./router.ts";
import type { World } from "./world.ts";

export interface PassagesOptions {
  readonly world: Pick<World, "targets" | "reach">;
  readonly route: Pick<Route, "rule" | "serve">;
  readonly arrival: Pick<Arrival, "from" | "to" | "depth">;
  /** Who has logged in. */
  readonly user: string;
  readonly restrictions: readonly Restrictions[];
  readonly permissions: Permissions | undefined;
  /** Takes a client that comes in by this session; false: there are too many of those. */
  readonly arrive: (arrival: Arrival) => boolean;
  readonly clock: Clock;
  readonly log: Log;
  readonly audit: Auditor | undefined;
}

const refused = "no such target, or not for this client";

/** Asked for by who says no port. */
const sshPort = 22;

/** Characters of a client's own words in a line of the log or the audit. */
const maxSaidChars = 256;

/** What one client of a jump host may reach, by its rule's targets and its key's restrictions; and the way there. */
export class Passages implements JumpDesk {
  readonly #options: PassagesOptions;
  readonly #selection: { readonly name: string; readonly targets: readonly string[] };
  #asked = 0;

  constructor(options: PassagesOptions) {
    this.#options = options;
    const { rule, serve } = options.route;
    this.#selection = { name: rule, targets: serve?.targets ?? [] };
  }

  get forcedCommand(): string | undefined {
    return this.#options.permissions?.forcedCommand;
  }

  targets(): readonly ListedTarget[] {
    return this.#options.world.targets.listWithin(this.#selection);
  }

  refusal(asked: "pty" | "agent"): string | undefined {
    return this.#options.permissions?.refusal(
      asked === "pty" ? { kind: "pty", term: "" } : { kind: "agent" },
    );
  }

  /** Where a choice from the menu leads. Throws DENIED_ errors. */
  choose(name: string, route: Route): Route {
    const { restrictions } = this.#options;
    const passage = new Passage(this.#options, { name, port: sshPort }, ++this.#asked);
    const target = this.#find(name, undefined);
    // A session there is no forwarding; but who may go to some hosts alone may not go to others by this way.
    const permitted = (place: HostPort): boolean =>
      restrictions.every(
        ({ permitOpen }) => permitOpen === undefined || mayOpen(permitOpen, name, place.port),
      );
    const chosen = target?.addresses.every(permitted) === true ? routeToTarget(route, target) : undefined;
    if (chosen !== undefined) return chosen;
    passage.refused(refused);
    throw new gatewayErrors.DENIED_TARGET(refused);
  }

  async open(question: JumpQuestion, signal: AbortSignal): Promise<JumpOpened> {
    const passage = new Passage(this.#options, question, ++this.#asked);
    const route = this.#route(question, passage);
    passage.decided(route);
    return await passage.reach(route, signal);
  }

  /** Throws DENIED_ errors. What a key forbids is told before names are looked at, so that it tells nothing about them. */
  #route(question: JumpQuestion, passage: Passage): SpliceRoute {
    const { permissions } = this.#options;
    const place = "path" in question ? { path: question.path } : { host: question.name, port: question.port };
    const refusal = permissions?.refusal({ kind: "forward-local", ...place });
    if (refusal !== undefined) {
      passage.refused(refusal);
      throw new gatewayErrors.DENIED_FORWARDING(undefined, { user: refusal });
    }
    const route = this.#find(question.name, "port" in question ? question.port : undefined);
    if (route !== undefined) return route;
    passage.refused(refused);
    throw new gatewayErrors.DENIED_TARGET(refused);
  }

  #find(name: string, port: number | undefined): SpliceRoute | undefined {
    const { world, arrival, clock } = this.#options;
    const asked = { entry: "jump" as const, name, from: arrival.from, to: arrival.to, nowMs: clock.now() };
    return world.targets.routeWithin(this.#selection, port === undefined ? asked : { ...asked, port });
  }
}

/** One way through the jump host, for the log and the audit. */
class Passage {
  readonly #options: PassagesOptions;
  readonly #name: string;
  readonly #number: number;
  readonly #startedMs: number;
  #route: SpliceRoute | undefined;
  #upstream: string | undefined;

  constructor(options: PassagesOptions, question: JumpQuestion, number: number) {
    this.#options = options;
    const said = "path" in question ? question.path : question.name;
    this.#name = said.slice(0, maxSaidChars);
    this.#number = number;
    this.#startedMs = options.clock.monotonic();
  }

  decided(route: SpliceRoute): void {
    this.#route = route;
  }

  refused(reason: string): void {
    this.#options.log.info("target-refused", { name: this.#name, reason });
    this.#tell("refused", reason);
  }

  async reach(route: SpliceRoute, signal: AbortSignal): Promise<JumpOpened> {
    const { log, world, arrival, user } = this.#options;
    if (route.mode === "terminate") return this.#inner(route);
    try {
      const asker = { ...arrival, user, proven: true };
      const reached = await world.reach.reach(route, asker, { signal, log });
      this.#upstream = formatHostPort(reached.address);
      const leave = (): void => {
        reached.stream.destroy();
        reached[Symbol.dispose]();
      };
      if (signal.aborted) {
        leave();
        throw new gatewayErrors.PEER_LEFT_TARGET();
      }
      return { join: (client) => this.#join(client, reached), [Symbol.dispose]: leave };
    } catch (error) {
      const reason = signal.aborted ? "the client left" : codeOf(error);
      log[signal.aborted ? "info" : "warn"]("target-failed", { target: route.target, reason, error });
      this.#tell("failed", reason);
      throw error;
    }
  }

  /** What comes is a client of the gateway's own. It logs in anew: this session vouches for nothing but where it comes from. */
  #inner(route: SpliceRoute): JumpOpened {
    const { arrival, arrive, log } = this.#options;
    const join = (stream: Duplex): JumpJoined => {
      // Until somebody listens, an error would end the process.
      stream.on("error", () => {});
      const itself = route.addresses.length === 0 ? {} : { target: route };
      const taken = arrive({ ...arrival, ...itself, stream, via: "jump" });
      if (!taken) stream.destroy();
      const { target } = route;
      log.info(taken ? "target-opened" : "target-failed", { stream: this.#number, target });
      if (taken) this.#tell("opened", undefined);
      else this.#tell("failed", "too many sessions within sessions");
      return { ended: new Promise((resolve) => stream.once("close", resolve)) };
    };
    return { join, [Symbol.dispose]: () => {} };
  }

  #join(client: Duplex, reached: Reached): JumpJoined {
    const { log } = this.#options;
    const target = this.#route?.target ?? "";
    const splice = new Splice(client, reached.stream);
    log.info("target-opened", { stream: this.#number, target, upstream: this.#upstream });
    this.#tell("opened", undefined);
    return { ended: this.#whenEnded(splice, target).finally(() => reached[Symbol.dispose]()) };
  }

  async #whenEnded(splice: Splice, target: string): Promise<void> {
    const { log, audit, clock } = this.#options;
    const { by, error } = await splice.ended;
    const seconds = Math.round(clock.monotonic() - this.#startedMs) / 1000;
    const bytes = { bytesFromClient: splice.bytesToUpstream, bytesToClient: splice.bytesToDownstream };
    const who = by === "downstream" ? "client" : by;
    const reason = error === undefined ? `the ${who} closed the connection` : codeOf(error);
    const fields = { stream: this.#number, target, seconds, ...bytes, reason };
    log.info("target-closed", fields);
    audit?.({ event: "target-end", ...fields });
  }

  #tell(outcome: "opened" | "refused" | "failed", reason: string | undefined): void {
    const { audit, route } = this.#options;
    audit?.({
      event: "target",
      entry: "jump",
      name: this.#name,
      stream: this.#number,
      rule: route.rule,
      target: this.#route?.target,
      upstream: this.#upstream,
      outcome,
      reason,
    });
  }
}

function codeOf(error: unknown): string {
  if (error instanceof PosternError) return error.code;
  const { code, message } = error as NodeJS.ErrnoException;
  return code ?? message;
}

import type { Duplex } from "node:stream";
import { type Clock, formatEndpoint } from "#base";
import type { Arrival, ListenPlan, Received, Reception, ReceptionDesk } from "#contract";
import { entryErrors } from "../errors.ts";
import { peek } from "../peek.ts";
import { maxFirstBytes, type Spoken, spokenBy } from "./first-bytes.ts";
import { HttpFront } from "./http.ts";
import { maxNamedLineBytes, nameInVersion } from "./version-name.ts";

export interface ReceptionPorts {
  readonly clock: Clock;
}

/** Who receives at these listeners. */
export function createReception(plans: readonly ListenPlan[], ports: ReceptionPorts): Reception {
  return new Front(plans, ports);
}

class Front implements Reception {
  readonly #plans: ReadonlyMap<string, ListenPlan>;
  readonly #clock: Clock;
  readonly #http = new HttpFront();

  constructor(plans: readonly ListenPlan[], { clock }: ReceptionPorts) {
    this.#plans = new Map(plans.map((plan) => [formatEndpoint(plan.endpoint), plan]));
    this.#clock = clock;
  }

  takes({ via }: Arrival): boolean {
    const plan = this.#plans.get(via);
    return plan !== undefined && plan.entries.some((entry) => entry !== "ssh");
  }

  async receive({ stream, via }: Arrival, desk: ReceptionDesk): Promise<Received> {
    const plan = this.#plans.get(via);
    if (plan === undefined) return { kind: "session", stream };
    const spoken = await this.#spoken(stream, plan, desk);
    if (spoken === "http" && plan.entries.includes("http")) return await this.#http.receive(stream, desk);
    if (spoken === "ssh" && plan.entries.includes("version")) {
      const named = await this.#version(stream, plan, desk);
      if (named !== undefined) return named;
    }
    // What is no SSH at all, our engine refuses in its own words.
    if (plan.entries.includes("ssh")) return { kind: "session", stream };
    throw new entryErrors.PEER_NOT_TAKEN(spoken);
  }

  async #spoken(stream: Duplex, plan: ListenPlan, { signal }: ReceptionDesk): Promise<Spoken | "nothing"> {
    const { bytes, why } = await peek(stream, {
      enough: (each) => spokenBy(each) !== undefined,
      maxBytes: maxFirstBytes,
      // Who waits for us to speak first can only be an SSH client.
      ...(plan.entries.includes("ssh") ? { silentMs: plan.silentMs } : {}),
      clock: this.#clock,
      signal,
    });
    if (why === "closed" && bytes.length === 0) throw new entryErrors.PEER_LEFT_EARLY();
    return why === "silent" ? "nothing" : (spokenBy(bytes) ?? "other");
  }

  /** Undefined: it names no target. */
  async #version(stream: Duplex, plan: ListenPlan, desk: ReceptionDesk): Promise<Received | undefined> {
    const { bytes } = await peek(stream, {
      enough: (each) => each.includes(0x0a),
      maxBytes: maxNamedLineBytes,
      clock: this.#clock,
      signal: desk.signal,
    });
    const name = nameInVersion(bytes, plan.versionComment);
    if (name === undefined) return undefined;
    const route = desk.ask({ entry: "version", name });
    if (route === undefined) return { kind: "refused", stream, tell: true, reason: `no target ${name}` };
    // The line was put back, so the target reads it as if the client had come to it.
    return { kind: "splice", stream, route, entry: "version", connected: () => {} };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#http.close();
  }
}

import type { Duplex } from "node:stream";
import { type Clock, formatEndpoint } from "#base";
import type { Arrival, EntryName, ListenPlan, Received, Reception, ReceptionDesk, TlsPlan } from "#contract";
import { entryErrors } from "../errors.ts";
import { peek } from "../peek.ts";
import { decodeClientHello, maxClientHelloBytes } from "./client-hello.ts";
import { maxFirstBytes, type Spoken, spokenBy } from "./first-bytes.ts";
import { HttpFront } from "./http.ts";
import { alerts, type CertificatePorts, Certificates, sayAlert, terminateTls } from "./tls.ts";
import { maxNamedLineBytes, nameInVersion } from "./version-name.ts";

export interface ReceptionPlan {
  readonly listen: readonly ListenPlan[];
  readonly tls: TlsPlan;
}

/** Who receives at these listeners. Throws OPERATOR_TLS_CERTIFICATE. */
export async function createReception(plan: ReceptionPlan, ports: CertificatePorts): Promise<Reception> {
  return new Front(plan, await Certificates.open(plan.tls.certificates, ports), ports);
}

class Front implements Reception {
  readonly #plans: ReadonlyMap<string, ListenPlan>;
  readonly #clock: Clock;
  readonly #http = new HttpFront();

  readonly #certificates: Certificates;
  readonly #gatewayNames: ReadonlySet<string>;

  constructor(
    { listen, tls }: ReceptionPlan,
    certificates: Certificates,
    { clock }: Pick<CertificatePorts, "clock">,
  ) {
    this.#plans = new Map(listen.map((plan) => [formatEndpoint(plan.endpoint), plan]));
    this.#certificates = certificates;
    this.#gatewayNames = new Set(tls.gatewayNames.map((name) => name.toLowerCase()));
    this.#clock = clock;
  }

  takes({ via }: Arrival): boolean {
    const plan = this.#plans.get(via);
    return plan !== undefined && plan.entries.some((entry) => entry !== "ssh");
  }

  async receive({ stream, via }: Arrival, desk: ReceptionDesk): Promise<Received> {
    const plan = this.#plans.get(via);
    if (plan === undefined) return { kind: "session", stream };
    return await this.#receive(stream, plan, desk, plan.entries);
  }

  async #receive(
    stream: Duplex,
    plan: ListenPlan,
    desk: ReceptionDesk,
    entries: readonly EntryName[],
  ): Promise<Received> {
    const spoken = await this.#spoken(stream, plan, desk);
    if (spoken === "tls" && entries.includes("tls")) return await this.#tls(stream, plan, desk);
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

  async #tls(stream: Duplex, plan: ListenPlan, desk: ReceptionDesk): Promise<Received> {
    const { bytes } = await peek(stream, {
      enough: (each) => decodeClientHello(each) !== undefined,
      maxBytes: maxClientHelloBytes,
      clock: this.#clock,
      signal: desk.signal,
    });
    const hello = decodeClientHello(bytes);
    if (hello === undefined) throw new entryErrors.PEER_CLIENT_HELLO("it is cut off, or too long");
    const name = hello.serverName;
    const refuse = (reason: string): Received => {
      sayAlert(stream, alerts.unrecognizedName);
      return { kind: "refused", stream, tell: false, reason };
    };
    const ours = name === undefined || this.#gatewayNames.has(name.toLowerCase());
    const route = ours ? undefined : desk.ask({ entry: "tls", name });
    if (!ours && route === undefined) return refuse(`no target ${name}`);
    if (route?.tls === true) {
      const failed = (): void => sayAlert(stream, alerts.internalError);
      return { kind: "splice", stream, route, entry: "tls", connected: () => {}, failed };
    }
    const context = await this.#certificates.find(name);
    if (context === undefined) return refuse(`no certificate for ${name ?? "a client without a name"}`);
    const inside = await terminateTls(stream, context);
    if (route !== undefined)
      return { kind: "splice", stream: inside, route, entry: "tls", connected: () => {} };
    // The gateway itself: all but TLS once more.
    return await this.#receive(
      inside,
      plan,
      desk,
      plan.entries.filter((entry) => entry !== "tls"),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#http.close();
  }
}

import type { Duplex } from "node:stream";
import { type Clock, formatEndpoint } from "#base";
import type {
  Arrival,
  CertificatePair,
  EntryName,
  ListenPlan,
  OrderedCertificates,
  Received,
  Reception,
  ReceptionDesk,
  TlsPlan,
  Tunnels,
  WebClient,
  WebFront,
} from "#contract";
import { entryErrors } from "../errors.ts";
import { peek } from "../peek.ts";
import { decodeClientHello, maxClientHelloBytes } from "./client-hello.ts";
import { maxFirstBytes, type Spoken, spokenBy } from "./first-bytes.ts";
import { hostInIgnore, isHttpForm, maxIgnorePacketBytes } from "./first-ignore.ts";
import type { HttpFront } from "./http.ts";
import { atDevicePort } from "./device-port.ts";
import {
  alerts,
  type CertificatePorts,
  Certificates,
  proofAlpnName,
  sayAlert,
  TlsEnd,
  webAlpnNames,
} from "./tls.ts";
import { maxNamedLineBytes, nameInVersion, versionLine } from "./version-name.ts";

export interface ReceptionPlan {
  readonly listen: readonly ListenPlan[];
  readonly tls: TlsPlan;
  readonly keepalive: { readonly intervalSeconds: number; readonly maxMissed: number };
}

export interface ReceptionPorts extends CertificatePorts {
  /** Who serves devices' pages. Absent: they have none. */
  readonly web?: WebFront;
  /** By which devices are reached. */
  readonly tunnels?: Pick<Tunnels, "open">;
}

/** What came with a stream, and what may still be found in it. */
interface Inside {
  readonly stream: Duplex;
  readonly plan: ListenPlan;
  readonly desk: ReceptionDesk;
  readonly entries: readonly EntryName[];
  /** Names in the client's certificate. */
  readonly certificate?: readonly string[];
  /** TLS of ours lies around it. */
  readonly secure: boolean;
}

const httpEntries: readonly EntryName[] = ["http", "websocket", "host"];

function takesHttp(entries: readonly EntryName[]): boolean {
  return httpEntries.some((entry) => entries.includes(entry));
}

/** Who receives at these listeners. Throws OPERATOR_TLS_CERTIFICATE. */
export async function createReception(plan: ReceptionPlan, ports: ReceptionPorts): Promise<Reception> {
  const certificates = await Certificates.open(plan.tls, ports);
  return new Front(plan, { certificates, http: await httpOf(plan, ports) }, ports);
}

/** Loaded only where it is listened for: two megabytes. */
async function httpOf(
  { listen, keepalive }: ReceptionPlan,
  { clock }: Pick<ReceptionPorts, "clock">,
): Promise<HttpFront | undefined> {
  if (!listen.some(({ entries }) => takesHttp(entries))) return undefined;
  const http = await import("./http.ts");
  const { intervalSeconds, maxMissed } = keepalive;
  return new http.HttpFront({ clock, pingMs: intervalSeconds * 1000, maxMissed });
}

class Front implements Reception {
  readonly #plans: ReadonlyMap<string, ListenPlan>;
  readonly #clock: Clock;
  readonly #http: HttpFront | undefined;
  readonly #certificates: Certificates;
  readonly #gatewayNames: ReadonlySet<string>;
  readonly #web: WebFront | undefined;
  readonly #tunnels: Pick<Tunnels, "open"> | undefined;
  readonly #ordered: OrderedCertificates | undefined;

  constructor(
    { listen, tls }: ReceptionPlan,
    { certificates, http }: { readonly certificates: Certificates; readonly http: HttpFront | undefined },
    { clock, web, tunnels, ordered }: Pick<ReceptionPorts, "clock" | "web" | "tunnels" | "ordered">,
  ) {
    this.#ordered = ordered;
    this.#web = web;
    this.#tunnels = tunnels;
    this.#plans = new Map(listen.map((plan) => [formatEndpoint(plan.endpoint), plan]));
    this.#certificates = certificates;
    this.#gatewayNames = new Set(tls.gatewayNames.map((name) => name.toLowerCase()));
    this.#clock = clock;
    this.#http = http;
  }

  takes({ via }: Arrival): boolean {
    const plan = this.#plans.get(via);
    return plan !== undefined && (plan.device !== undefined || plan.entries.some((entry) => entry !== "ssh"));
  }

  async receive({ stream, via, to }: Arrival, desk: ReceptionDesk): Promise<Received> {
    const plan = this.#plans.get(via);
    if (plan === undefined) return { kind: "session", stream };
    const { entries, device } = plan;
    if (device !== undefined) return await atDevicePort(stream, device, desk, this.#tunnels);
    const placed = await addressed(stream, entries, desk, to);
    return placed ?? (await this.#receive({ stream, plan, desk, entries, secure: false }));
  }

  async #receive(inside: Inside): Promise<Received> {
    const { stream, plan, entries, desk } = inside;
    const spoken = await this.#spoken(inside);
    if (spoken === "tls" && (entries.includes("tls") || entries.includes("web")))
      return await this.#tls(inside);
    if (spoken === "http" && this.#http !== undefined && takesHttp(entries))
      return await this.#http.receive(stream, inside);
    if (spoken === "http" && entries.includes("web") && this.#web !== undefined)
      return this.#page(stream, { desk, protocol: "http/1.1" });
    if (spoken === "ssh" && entries.includes("version")) {
      const named = await this.#version(inside);
      if (named !== undefined) return named;
    }
    // What is no SSH at all, our engine refuses in its own words.
    if (plan.entries.includes("ssh")) return { kind: "session", stream };
    throw new entryErrors.PEER_NOT_TAKEN(spoken);
  }

  async #spoken({ stream, plan, desk: { signal } }: Inside): Promise<Spoken | "nothing"> {
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
  async #version({ stream, plan, desk, certificate }: Inside): Promise<Received | undefined> {
    const { clock, signal } = { clock: this.#clock, signal: desk.signal };
    const enough = (each: Uint8Array): boolean => each.includes(0x0a);
    const { bytes } = await peek(stream, { enough, maxBytes: maxNamedLineBytes, clock, signal });
    let name = nameInVersion(bytes, plan.versionComment);
    const line = name === undefined ? versionLine(bytes) : undefined;
    if (line !== undefined && isHttpForm(line.text)) {
      const found = (all: Uint8Array): ReturnType<typeof hostInIgnore> =>
        hostInIgnore(all.subarray(line.length));
      const more = await peek(stream, {
        enough: (all) => found(all) !== "incomplete",
        maxBytes: line.length + maxIgnorePacketBytes,
        limitMs: plan.silentMs,
        clock,
        signal,
      });
      const host = found(more.bytes);
      name = typeof host === "object" ? host.name : undefined;
    }
    if (name === undefined) return undefined;
    const route = await desk.ask({
      entry: "version",
      name,
      ...(certificate === undefined ? {} : { certificate }),
    });
    if (route.mode === "refused") return { kind: "refused", stream, tell: true, reason: `no target ${name}` };
    // The line was put back, so the target reads it as if the client had come to it.
    return { kind: "splice", stream, route, entry: "version", connected: () => stream };
  }

  async #tls({ stream, plan, desk, entries }: Inside): Promise<Received> {
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
    if (name !== undefined && hello.alpn.includes(proofAlpnName)) {
      const proof = await this.#ordered?.proof(name);
      if (proof !== undefined) return await showProof(stream, proof);
      // A target that speaks TLS itself has its names proven itself.
      if (this.#gatewayNames.has(name.toLowerCase()) || this.#web?.takes(name) === true)
        return refuse(`nothing to prove about ${name}`);
    }
    if (name !== undefined && entries.includes("web") && this.#web?.takes(name) === true) {
      const ends = await this.#certificates.find(name, desk.signal);
      if (ends === undefined) return refuse(`no certificate for ${name}`);
      const { stream: client, ...shown } = await ends[plan.clientCertificate].take(
        stream,
        this.#web.protocols?.(name) ?? webAlpnNames,
      );
      const protocol = client.alpnProtocol === "h2" ? "h2" : "http/1.1";
      return this.#page(client, { desk, protocol, serverName: name, ...shown });
    }
    if (!entries.includes("tls")) return refuse(`no page for ${name ?? "a client without a name"}`);
    const ours = name === undefined || this.#gatewayNames.has(name.toLowerCase());
    const route = ours ? undefined : await desk.ask({ entry: "tls", name });
    // With a certificate, another rule may hold: that is seen only inside.
    if (
      route?.mode === "refused" &&
      (plan.clientCertificate === "off" || !route.wants.includes("certificate"))
    )
      return refuse(`no target ${name}`);
    if (route?.mode === "splice" && route.tls) {
      const failed = (): void => sayAlert(stream, alerts.internalError);
      return { kind: "splice", stream, route, entry: "tls", connected: () => stream, failed };
    }
    const ends = await this.#certificates.find(name, desk.signal);
    if (ends === undefined) return refuse(`no certificate for ${name ?? "a client without a name"}`);
    const client = await ends[plan.clientCertificate].take(stream);
    const shown = client.certificate === undefined ? {} : { certificate: client.certificate };
    if (ours || name === undefined) {
      // The gateway itself: all but TLS once more.
      const inner = entries.filter((entry) => entry !== "tls" && entry !== "web");
      return await this.#receive({
        stream: client.stream,
        plan,
        desk,
        entries: inner,
        secure: true,
        ...shown,
      });
    }
    const found =
      route !== undefined && route.mode !== "refused"
        ? route
        : await desk.ask({ entry: "tls", name, ...shown });
    if (found.mode === "refused")
      return { kind: "refused", stream: client.stream, tell: true, reason: `no target ${name}` };
    return {
      kind: "splice",
      stream: client.stream,
      route: found,
      entry: "tls",
      connected: () => client.stream,
    };
  }

  #page(stream: Duplex, client: WebClient): Received {
    const ended = this.#web?.serve(stream, client) ?? Promise.resolve();
    return { kind: "served", stream, entry: "web", ended };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#http?.close();
  }
}

/** To an authority, which looks at the certificate and leaves (RFC 8737, section 3). */
async function showProof(stream: Duplex, { certificate, key }: CertificatePair): Promise<Received> {
  const end = new TlsEnd({ cert: Buffer.from(certificate), key: Buffer.from(key) }, "off");
  const { stream: secure } = await end.take(stream, [proofAlpnName]);
  secure.destroySoon();
  const ended = new Promise<void>((resolve) => void secure.once("close", () => resolve()));
  return { kind: "served", stream, entry: "tls", ended };
}

/** Who connected to an address at which a target stands is there, whatever it speaks. Undefined: it stands for none. */
async function addressed(
  stream: Duplex,
  entries: readonly EntryName[],
  desk: ReceptionDesk,
  to: Arrival["to"],
): Promise<Received | undefined> {
  if (!entries.includes("address") || to === undefined) return undefined;
  const route = await desk.ask({ entry: "address", name: to.ip, port: to.port });
  if (route.mode === "refused") {
    if (entries.some((entry) => entry !== "address")) return undefined;
    return { kind: "refused", stream, tell: true, reason: `no target at ${to.ip}` };
  }
  const connected = (): Duplex => stream;
  const silent = route.tls || route.http ? { failed: () => void stream.destroy() } : {};
  return { kind: "splice", stream, route, entry: "address", connected, ...silent };
}

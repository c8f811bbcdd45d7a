import type { Clock } from "#base";
import type {
  AuditEvent,
  Binding,
  Certified,
  Device,
  DeviceAuthority,
  DeviceConnection,
  DeviceSubject,
  ServedSession,
  Server,
  TunnelLease,
  TunnelOrigin,
  TunnelRequest,
  Tunnels,
} from "#contract";
import {
  type Channel,
  type ChannelOffer,
  ConnectionMux,
  type GlobalAnswer,
  type IncomingRequest,
} from "#ssh/connection";
import {
  decodeAddressAndPort,
  decodeStreamlocalForward,
  DISCONNECT,
  encodeBoundPort,
  encodeForwardedStreamlocal,
  encodeTcpipChannel,
} from "#ssh/messages";
import type { ConnClose } from "#ssh/transport";
import type { Duplex } from "node:stream";
import { heartbeat } from "../heartbeat.ts";
import { nameOfPath } from "../socket-path.ts";
import { deviceServerErrors } from "./errors.ts";
import { DeviceChannel } from "./session.ts";
import type { Gate } from "./set-up.ts";

export interface DeviceServerPorts {
  readonly clock: Clock;
  readonly authority: DeviceAuthority;
  readonly tunnels: Tunnels;
  readonly heartbeat: { readonly intervalMs: number; readonly maxMissed: number };
  readonly gate: Gate;
}

/** Where devices hold their tunnels: nothing but stock `ssh -R` is needed on them. */
export function createDeviceServer(ports: DeviceServerPorts): Server {
  return { kind: "devices", serve: async (session) => await new DeviceSession(session, ports).live() };
}

const sshPort = 22;

/** What OpenSSH sends where the command line of `-R` names no host, or addresses, which are no device's. */
const noNames: ReadonlySet<string> = new Set(["", "localhost", "*", "0.0.0.0", "::", "127.0.0.1", "::1"]);

/** Characters of what a device says, in a line of the log or the audit. */
const maxSaidChars = 256;

/** Tunnels of one connection: as many as ports can be approved, and as many paths. */
export const maxTunnels = 128;

/** Requests of one connection that are refused, before it is dropped: nothing that works asks so often for what it may not have. */
export const maxRefused = 32;

/** Between two certificates for one connection. */
const certifiedRestMs = 10_000;

/** One connection of a device, or of what may become one. */
class DeviceSession implements DeviceConnection {
  readonly from: string;
  readonly sinceMs: number;
  readonly #session: ServedSession;
  readonly #ports: DeviceServerPorts;
  readonly #subject: DeviceSubject;
  readonly #mux: ConnectionMux;
  readonly #leases = new Map<string, TunnelLease>();
  #device: Device | undefined;
  #turn: Promise<unknown> = Promise.resolve();
  #online = false;
  #over = false;
  #refusals = 0;
  #certifiedMs: number | undefined;
  #dropped: string | undefined;

  constructor(session: ServedSession, ports: DeviceServerPorts) {
    const { device: subject } = session;
    if (subject === undefined) throw new deviceServerErrors.BUG_NO_DEVICE();
    this.#session = session;
    this.#ports = ports;
    this.#subject = subject;
    this.from = subject.newcomer.from;
    this.sinceMs = ports.clock.now();
    if (subject.standing.kind === "device") this.#device = subject.standing.device;
    this.#mux = new ConnectionMux(session.conn, {
      limits: { maxChannels: session.maxChannels },
      globalRequest: async (request) => await this.#request(request),
      channels: new Map([["session", (offer: ChannelOffer) => this.#channel(offer)]]),
    });
  }

  /** Throws BUG_NO_DEVICE before there is one. */
  get device(): Device {
    if (this.#device === undefined) throw new deviceServerErrors.BUG_NO_DEVICE();
    return this.#device;
  }

  async live(): Promise<ConnClose> {
    const { conn, hostKeys, probed } = this.#session;
    if (hostKeys !== undefined) this.#mux.notify(hostKeys.type, hostKeys.data);
    const keepalive = this.#ports.heartbeat;
    using _ = heartbeat(
      this.#mux,
      { conn, keepalive, ...(probed === undefined ? {} : { probed }) },
      this.#ports.clock,
    );
    const close = await this.#mux.ended;
    this.#over = true;
    const reason =
      this.#dropped ?? (close.kind === "disconnected" ? "it disconnected" : "its connection ended");
    for (const [key, lease] of this.#leases) this.#end(key, lease, reason);
    if (this.#device !== undefined) this.#ports.tunnels.leave(this);
    if (this.#online) this.#ports.authority.seen(this.device, false, this.from);
    return close;
  }

  async open(request: TunnelRequest, origin: TunnelOrigin, signal: AbortSignal): Promise<Duplex> {
    const [type, data] =
      request.kind === "path"
        ? (["forwarded-streamlocal@openssh.com", encodeForwardedStreamlocal(request.path)] as const)
        : ([
            "forwarded-tcpip",
            encodeTcpipChannel({
              host: request.name,
              port: request.port,
              originAddress: origin.host,
              originPort: origin.port,
            }),
          ] as const);
    const outcome = await this.#mux.open(type, { data });
    if (!outcome.opened) {
      const detail = `${this.device.name}: ${outcome.description.slice(0, 200)}`;
      throw new deviceServerErrors.UPSTREAM_TUNNEL_REFUSED(detail);
    }
    if (signal.aborted) {
      outcome.channel.destroy();
      throw new deviceServerErrors.UPSTREAM_TUNNEL_REFUSED(`${this.device.name}: given up`);
    }
    return outcome.channel;
  }

  drop(why: string): void {
    this.#dropped ??= why;
    this.#mux.disconnect(DISCONNECT.BY_APPLICATION, why);
  }

  /** Makes what is there a device of that name, if it may be. Returns what to say otherwise. */
  async #become(name: string | undefined): Promise<string | undefined> {
    if (this.#device !== undefined) return undefined;
    const { standing, newcomer } = this.#subject;
    if (standing.kind === "device") return undefined;
    const { authority } = this.#ports;
    const joined = await authority.join(newcomer, standing.admission, name);
    const said = name === undefined ? {} : { name: name.slice(0, maxSaidChars) };
    const about = { event: "device", key: newcomer.fingerprint, ...said } as const;
    const { audit } = this.#session;
    if (joined.kind === "device") {
      this.#device = joined.device;
      audit?.({ ...about, outcome: "joined", name: joined.device.name, by: joined.device.cameBy });
      return undefined;
    }
    if (joined.kind === "refused") {
      audit?.({ ...about, outcome: "refused", reason: joined.reason });
      return joined.reason;
    }
    audit?.({ ...about, outcome: "waits", code: joined.code });
    return `not approved yet: the operator types "postern device approve ${joined.code}"`;
  }

  #channel(offer: ChannelOffer): void {
    const channel: Channel = offer.accept({ request: (request) => session.request(request) });
    const session = new DeviceChannel(channel, {
      device: () => this.#device,
      become: async (name) => await this.#inTurn(() => this.#become(name)),
      certify: async () => await this.#inTurn(() => this.#certify()),
      setUp: {
        gate: this.#ports.gate,
        user: this.#session.user,
        certificateSeconds: this.#ports.authority.certificateSeconds,
      },
    });
  }

  /** Each costs a signature and a write to the disk. */
  async #certify(): Promise<Certified> {
    const nowMs = this.#ports.clock.monotonic();
    if (this.#certifiedMs !== undefined && nowMs - this.#certifiedMs < certifiedRestMs)
      return { kind: "refused", reason: "it was given one on this connection just now" };
    const certified = await this.#ports.authority.certify(this.device);
    if (certified.kind === "certificate") this.#certifiedMs = nowMs;
    return certified;
  }

  async #request({ type, data }: IncomingRequest): Promise<GlobalAnswer> {
    switch (type) {
      case "tcpip-forward": {
        const { address, port } = decodeAddressAndPort(data);
        const bound = await this.#inTurn(() =>
          this.#bind({ kind: "port", name: address, port }, this.#named(address), port),
        );
        if (bound === undefined) return false;
        return port === 0 ? encodeBoundPort(bound) : true;
      }
      case "streamlocal-forward@openssh.com": {
        const path = Buffer.from(decodeStreamlocalForward(data)).toString("utf8");
        const name = nameOfPath(path);
        if (name === undefined) return this.#refused(path, "a socket's path ends in the device's name");
        const bound = await this.#inTurn(() => this.#bind({ kind: "path", path }, name, sshPort));
        return bound !== undefined;
      }
      case "cancel-tcpip-forward": {
        const { address, port } = decodeAddressAndPort(data);
        return this.#cancel(keyOf({ kind: "port", name: address, port }));
      }
      case "cancel-streamlocal-forward@openssh.com":
        return this.#cancel(
          keyOf({ kind: "path", path: Buffer.from(decodeStreamlocalForward(data)).toString("utf8") }),
        );
      default:
        return (await this.#session.hostKeys?.prove({ type, data })) ?? false;
    }
  }

  /** One after the other: the first makes it a device, with a token that holds once; and each must see what those before it hold. */
  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#turn.then(work);
    this.#turn = mine.catch(() => {});
    return await mine;
  }

  /** The port that is held; undefined when the request is refused. */
  async #bind(request: TunnelRequest, name: string | undefined, port: number): Promise<number | undefined> {
    // What was asked before it is gone is not looked at any more.
    if (this.#dropped !== undefined) return undefined;
    const said = request.kind === "path" ? request.path : `${request.name}:${port}`;
    const refusal = await this.#become(name);
    if (refusal !== undefined) {
      this.#refused(said, refusal);
      // A client that goes on without its tunnel would hold the connection for nothing.
      this.drop(`This device may hold no tunnel: ${refusal}.`);
      return undefined;
    }
    const { authority, tunnels } = this.#ports;
    const held = new Set([...this.#leases.values()].map((lease) => lease.port));
    const binding: Binding = await authority.bind(this.device, name, port, held);
    if (binding.kind === "refused") {
      this.#refused(said, binding.reason);
      return undefined;
    }
    // Nothing must be waited for from here on: what the authority changes after it was asked cuts what is held.
    if (this.#over) return undefined;
    this.#device = binding.device;
    // The device knows its tunnel by what it asked for, or by the port that it was given.
    const known: TunnelRequest = request.kind === "port" ? { ...request, port: binding.port } : request;
    const key = keyOf(known);
    if (!this.#leases.has(key) && this.#leases.size >= maxTunnels) {
      this.#refused(said, `it holds ${maxTunnels} tunnels`);
      return undefined;
    }
    this.#leases.get(key)?.[Symbol.dispose]();
    this.#leases.set(key, tunnels.hold(this, known, binding.port));
    if (!this.#online) {
      this.#online = true;
      authority.seen(this.device, true, this.from);
    }
    this.#tell("tunnel-held", {
      outcome: "held",
      device: binding.device.name,
      asked: said,
      port: binding.port,
    });
    return binding.port;
  }

  /** The name that a request means; undefined: its own, which it did not say. */
  #named(address: string): string | undefined {
    return noNames.has(address) ? this.#subject.wished : address;
  }

  #refused(asked: string, reason: string): false {
    const device = this.#device?.name ?? this.#subject.newcomer.fingerprint;
    this.#tell("tunnel-refused", { outcome: "refused", device, asked, reason });
    if (++this.#refusals === maxRefused) this.drop("too many refused requests");
    return false;
  }

  #cancel(key: string): boolean {
    const lease = this.#leases.get(key);
    if (lease !== undefined) this.#end(key, lease, "it was cancelled");
    return this.#leases.delete(key);
  }

  #end(key: string, lease: TunnelLease, reason: string): void {
    lease[Symbol.dispose]();
    const { device, port } = lease;
    this.#tell("tunnel-ended", { outcome: "ended", device, asked: key, port, reason });
  }

  /** In the log and in the audit. */
  #tell(event: string, fields: Omit<AuditEvent & { event: "tunnel" }, "event" | "user">): void {
    const told = { ...fields, asked: fields.asked.slice(0, maxSaidChars) };
    const { outcome, ...rest } = told;
    void outcome;
    this.#session.log.info(event, rest);
    this.#session.audit?.({ event: "tunnel", ...told });
  }
}

function keyOf(request: TunnelRequest): string {
  return request.kind === "path" ? request.path : `${request.name}:${request.port}`;
}

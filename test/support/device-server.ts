/** The server for devices, on packets without a transport, with a real authority and real live tunnels behind it. */
import { silentLog } from "#base";
import type { AuditEvent, Device, DeviceSubject, NewcomerProof } from "#contract";
import { createDeviceServer } from "#serve";
import { ConnectionMux, type ConnectionHandlers } from "#ssh/connection";
import type { ConnClose } from "#ssh/transport";
import { TunnelRegistry } from "#tunnel";
import { newcomerOf, startAuthority, type TestAuthority } from "./devices.ts";
import { packetPipe, type PipeEnd } from "./packet-pipe.ts";

export interface DeviceServerStand extends TestAuthority {
  readonly tunnels: TunnelRegistry;
  readonly events: AuditEvent[];
  /** An approved device. */
  device(id: string, name: string, ports?: readonly number[]): Promise<Device>;
  /** A key logs in. */
  come(id: string, proof?: NewcomerProof): Promise<ComingDevice>;
}

export interface ComingDevice {
  /** The device's end. */
  readonly end: PipeEnd;
  readonly ended: Promise<ConnClose>;
  /** Its SSH client. Only one of `end`'s users may attach. */
  client(handlers?: ConnectionHandlers): ConnectionMux;
}

export function startDeviceServer(): DeviceServerStand {
  const authority = startAuthority({ maxPending: 100 });
  const { clock, store, enrolment, office } = authority;
  const tunnels = new TunnelRegistry({ store, clock, log: silentLog, sameKey: "newest" });
  const events: AuditEvent[] = [];
  const server = createDeviceServer({
    clock,
    authority: enrolment,
    tunnels,
    heartbeat: { intervalMs: 0, maxMissed: 1 },
    gate: { host: "gate.example", port: 22, hostKeys: () => ["ssh-ed25519 AAAA"] },
  });
  return {
    ...authority,
    tunnels,
    events,
    device: async (id, name, ports = [22]) => {
      const standing = await enrolment.standing(newcomerOf(id), {});
      if (standing.kind !== "newcomer" || standing.admission.by !== "pending")
        throw new Error("is known already");
      return await office.approve(standing.admission.code, { name, ports }, { by: "test" });
    },
    come: async (id, proof = {}) => {
      const newcomer = newcomerOf(id);
      const standing = await enrolment.standing(newcomer, proof);
      if (standing.kind === "refused") throw new Error(standing.reason);
      const subject: DeviceSubject = { newcomer, standing };
      const [near, far] = packetPipe();
      const ended = server.serve({
        conn: far,
        // Devices ask for no target.
        desk: {
          targets: () => [],
          refusal: () => undefined,
          forcedCommand: undefined,
          open: () => Promise.reject(new Error("a device reaches nothing")),
        },
        user: "device",
        device: subject,
        keepalive: { intervalMs: 0, maxMissed: 1 },
        maxChannels: 10,
        audit: (event) => void events.push(event),
        log: silentLog,
      });
      return { end: near, ended, client: (handlers = {}) => new ConnectionMux(near, handlers) };
    },
  };
}

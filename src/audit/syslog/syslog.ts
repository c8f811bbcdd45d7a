import { createSocket } from "node:dgram";
import { isIPv6 } from "node:net";
import { hostname } from "node:os";
import { formatHostPort, type HostPort, parseHostPort } from "#base";
import type { AuditKind, AuditPorts, AuditRecord, AuditSink } from "#contract";
import * as z from "zod";
import { Losses } from "../losses.ts";
import { SyslogStream } from "./stream.ts";

const facilities = {
  user: 1,
  daemon: 3,
  auth: 4,
  authpriv: 10,
  local0: 16,
  local1: 17,
  local2: 18,
  local3: 19,
  local4: 20,
  local5: 21,
  local6: 22,
  local7: 23,
} as const;

export interface SyslogConfig {
  readonly kind: "syslog";
  /** host:port */
  readonly server: string;
  readonly protocol: "udp" | "tcp";
  readonly facility: keyof typeof facilities;
}

const schema: z.ZodType<SyslogConfig> = z.strictObject({
  kind: z.literal("syslog"),
  server: z
    .string()
    .refine((text) => isServer(text), { error: "expected host:port or [v6]:port" })
    .describe("The server, as host:port.")
    .meta({ examples: ["127.0.0.1:514"] }),
  protocol: z
    .enum(["udp", "tcp"])
    .default("udp")
    .describe("udp loses what the network loses; tcp waits for a server that is away, up to a bound."),
  facility: z
    .enum(Object.keys(facilities) as (keyof typeof facilities)[])
    .default("authpriv")
    .describe("The facility of its messages."),
});

function isServer(text: string): boolean {
  try {
    parseHostPort(text);
    return true;
  } catch {
    return false;
  }
}

/** RFC 5424 over UDP (RFC 5426) or TCP (RFC 6587, octet counting). Node has no datagrams on UNIX sockets, so not /dev/log. */
export const syslog: AuditKind<SyslogConfig> = {
  kind: "syslog",
  summary: "Messages of RFC 5424 to a syslog server; their text is the same JSON.",
  schema,
  create: async (config, ports) => {
    const server = parseHostPort(config.server);
    return config.protocol === "udp" ? overUdp(config, server, ports) : overTcp(config, server, ports);
  },
};

function overUdp(config: SyslogConfig, { host, port }: HostPort, { log }: AuditPorts): AuditSink {
  const socket = createSocket(isIPv6(host) ? "udp6" : "udp4");
  const losses = new Losses(log, `syslog ${config.server}`);
  let lost = 0;
  // The audit is no reason to stay alive.
  socket.unref();
  socket.on("error", () => losses.note(++lost));
  return {
    kind: "syslog",
    write: (record) =>
      socket.send(message(record, config.facility), port, host, (error) => {
        if (error !== null) losses.note(++lost);
      }),
    reopen: () => {},
    [Symbol.asyncDispose]: () => new Promise((resolve) => socket.close(() => resolve())),
  };
}

function overTcp(config: SyslogConfig, server: HostPort, { clock, log }: AuditPorts): AuditSink {
  const losses = new Losses(log, `syslog ${formatHostPort(server)}`);
  const stream = new SyslogStream(server, clock, (events) => losses.note(events));
  return {
    kind: "syslog",
    write: (record) => stream.write(message(record, config.facility)),
    reopen: () => {},
    [Symbol.asyncDispose]: () => stream.close(),
  };
}

const notice = 5;
const informational = 6;

/** RFC 5424, section 6. */
function message(record: AuditRecord, facility: SyslogConfig["facility"]): Buffer {
  const bad = "outcome" in record && (record.outcome === "refused" || record.outcome === "failed");
  const priority = facilities[facility] * 8 + (bad ? notice : informational);
  const head = `<${priority}>1 ${record.time} ${hostname() || "-"} postern ${process.pid} ${record.event} -`;
  return Buffer.from(`${head} ${JSON.stringify(record)}`);
}

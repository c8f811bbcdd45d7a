import { duration, type HostPort, parseHostPort, path, PosternError, Secret, secret } from "#base";
import * as z from "zod";

export interface GateConfig {
  readonly address: HostPort;
  readonly user: string;
  readonly token?: Secret | undefined;
  readonly knownHosts?: string | undefined;
  readonly fingerprints: readonly string[];
  /** The device's certificate comes from this gateway. */
  readonly certificate: boolean;
}

export type ForwardPlace =
  | { readonly kind: "tcp"; readonly host: string; readonly port: number }
  | { readonly kind: "unix"; readonly path: string };

export interface ForwardConfig {
  /** As others name it at the gateway. */
  readonly port: number;
  readonly to: ForwardPlace;
}

export interface ServiceConfig {
  readonly port: number;
  readonly users: readonly string[];
  readonly restart: readonly string[];
  readonly logs: readonly string[];
  readonly disks: readonly string[];
  readonly update?:
    | { readonly command: readonly [string, ...string[]]; readonly timeoutSeconds: number }
    | undefined;
}

/** The file of `postern agent`. */
export interface AgentConfig {
  readonly name: string;
  readonly stateDir: string;
  readonly key?: string | undefined;
  readonly gates: readonly GateConfig[];
  readonly forwards: readonly ForwardConfig[];
  readonly service?: ServiceConfig | undefined;
  readonly retry: { readonly firstSeconds: number; readonly maxSeconds: number };
  readonly keepalive: { readonly intervalSeconds: number; readonly maxMissed: number };
  readonly log: { readonly level: (typeof levels)[number]; readonly format: "auto" | "json" | "pretty" };
}

const levels = ["trace", "debug", "info", "warn", "error", "fatal"] as const;

/** Where the unit of `postern agent install` lets it write. */
export const defaultStateDir = "/var/lib/postern-agent";

/** Of each list in the file. */
const maxGates = 16;
const maxForwards = 64;
const maxUnits = 100;
const maxWords = 100;

const hostPort = (text: string, ctx: z.core.$RefinementCtx, usualPort?: number): HostPort => {
  try {
    return usualPort === undefined ? parseHostPort(text) : parseHostPort(text, usualPort);
  } catch (error) {
    if (!(error instanceof PosternError)) throw error;
    ctx.addIssue({ code: "custom", message: error.detail ?? error.message });
    return z.NEVER;
  }
};

/** It becomes a part of a unit, in which a line is a setting. */
export function isOneLine(text: string): boolean {
  return !/\p{Cc}/u.test(text);
}

const port = z.int().min(1).max(65_535);

const gate = z
  .strictObject({
    address: z
      .string()
      .transform((text, ctx) => hostPort(text, ctx, 22))
      .describe("Host and port of the gateway; the port is 22 unless given."),
    user: z
      .string()
      .regex(/^[A-Za-z0-9][A-Za-z0-9._+-]{0,99}$/, "is no user name")
      .default("device"),
    token: secret.optional().describe("A join token: without one, an operator approves the code."),
    knownHosts: path({ exists: true }).optional(),
    fingerprints: z
      .array(z.string().regex(/^SHA256:[A-Za-z0-9+/]{43}=?$/, "is no fingerprint; write SHA256:…"))
      .max(16)
      .default([]),
    certificate: z.boolean().default(false),
  })
  .superRefine(({ token, knownHosts, fingerprints }, ctx) => {
    if (knownHosts === undefined && fingerprints.length === 0) {
      const message = "needs knownHosts or fingerprints: anybody could stand in for the gateway";
      ctx.addIssue({ code: "custom", message });
    }
    // What is wrong with it already is no Secret.
    if (token instanceof Secret && !/^[A-Za-z0-9]{1,128}$/.test(token.text().trim()))
      ctx.addIssue({ code: "custom", path: ["token"], message: "is no join token" });
  });

const forward = z.strictObject({
  port,
  to: z.string().transform((text, ctx): ForwardPlace => {
    if (!text.startsWith("unix:")) return { kind: "tcp", ...hostPort(text, ctx) };
    const file = text.slice("unix:".length);
    if (!file.startsWith("/") || file.length > 107)
      ctx.addIssue({ code: "custom", message: "write unix:/path/of/a/socket" });
    return { kind: "unix", path: file };
  }),
});

/** The names that systemd takes for units of services and the like; never an option, never a path. */
const unit = z
  .string()
  .regex(
    /^[A-Za-z0-9:_][A-Za-z0-9:_.@\\-]{0,200}\.(?:service|socket|target|timer|mount|path)$/,
    "is no unit; write its full name, as nginx.service",
  );

const word = z
  .string()
  .max(4096)
  // oxlint-disable-next-line no-control-regex
  .regex(/^[^\u0000]*$/, "holds a NUL");

const service = z.strictObject({
  port,
  users: z.array(z.string().min(1).max(256)).max(1000).default([]),
  restart: z.array(unit).max(maxUnits).default([]),
  logs: z.array(unit).max(maxUnits).default([]),
  disks: z.array(path()).max(16).default(["/"]),
  update: z
    .strictObject({
      command: z
        .tuple([path({ exists: true })], word)
        .refine((words) => words.length <= maxWords, "has too many words"),
      timeoutSeconds: duration({ min: 1, max: 24 * 3600 }).default(600),
    })
    .optional(),
});

export const agentSchema: z.ZodType<AgentConfig> = z
  .strictObject({
    name: z
      .string()
      .regex(
        /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/,
        "is no device's name: 1 to 63 letters, digits, '-', '_' and '.'",
      ),
    stateDir: path().refine(isOneLine, "must be one line").default(defaultStateDir),
    key: path().optional(),
    gates: z.array(gate).min(1, "needs a gateway").max(maxGates),
    forwards: z.array(forward).max(maxForwards).default([]),
    service: service.optional(),
    retry: z
      .strictObject({
        firstSeconds: duration({ min: 0.1, max: 3600 }).default(1),
        maxSeconds: duration({ min: 0.1, max: 24 * 3600 }).default(60),
      })
      .prefault({}),
    keepalive: z
      .strictObject({
        intervalSeconds: duration({ min: 1, max: 3600 }).default(15),
        maxMissed: z.int().min(1).max(100).default(3),
      })
      .prefault({}),
    log: z
      .strictObject({
        level: z.enum(levels).default("info"),
        format: z.enum(["auto", "json", "pretty"]).default("auto"),
      })
      .prefault({}),
  })
  .superRefine(({ gates, forwards, service: offered }, ctx) => {
    const refuse = (place: PropertyKey[], message: string): void =>
      ctx.addIssue({ code: "custom", path: place, message });
    const places = gates.map(({ address }) => `${address.host}:${address.port}`.toLowerCase());
    for (const [at, place] of places.entries())
      if (places.indexOf(place) < at) refuse(["gates", at, "address"], "this gateway stands here already");
    const giving = gates.findLastIndex(({ certificate }) => certificate);
    if (giving > gates.findIndex(({ certificate }) => certificate))
      refuse(["gates", giving, "certificate"], "another gateway gives the certificate already");
    const ports = forwards.map((each) => each.port);
    for (const [at, each] of ports.entries())
      if (ports.indexOf(each) < at) refuse(["forwards", at, "port"], `port ${each} is forwarded already`);
    if (offered !== undefined && ports.includes(offered.port))
      refuse(["service", "port"], `port ${offered.port} is forwarded already`);
    if (forwards.length === 0 && offered === undefined)
      refuse(["forwards"], "needs a port, or there is nothing to hold");
  });

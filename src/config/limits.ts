import { type Bounds, count, duration, size } from "#base";
import * as z from "zod";

/** As sshd's MaxStartups: from `start` waiting logins on, `ratePercent` of new connections are dropped, rising to all at `full`. */
export interface Startups {
  readonly start: number;
  readonly ratePercent: number;
  readonly full: number;
}

/** How long a prefix of an address counts as one source. */
export interface SourceNetwork {
  readonly ipv4Bits: number;
  readonly ipv6Bits: number;
}

/** What the gateway, one source and one session may use. */
export interface Limits {
  readonly startups: Startups;
  readonly maxConnections: number;
  readonly maxConnectionsPerSource: number;
  readonly maxStartupsPerSource: number;
  readonly sourceNetwork: SourceNetwork;
  readonly handshakeSeconds: number;
  readonly loginGraceSeconds: number;
  readonly upstreamLoginSeconds: number;
  readonly maxAuthTries: number;
  readonly maxKeyQueries: number;
  readonly failureDelaySeconds: number;
  readonly maxChannels: number;
  readonly rekeyBytes: number;
  readonly rekeyPackets: number;
  readonly rekeySeconds: number;
}

export type LimitUnit = "seconds" | "bytes" | "count";

/** One limit: what it is, and why its default is what it is. */
export interface LimitRow extends Bounds {
  readonly unit: LimitUnit;
  readonly value: number;
  readonly about: string;
  readonly reason: string;
  readonly precedent: string;
}

type ScalarName = Exclude<keyof Limits, "startups" | "sourceNetwork">;

const grouped = {
  "startups.start": {
    unit: "count",
    value: 10,
    min: 1,
    about: "Connections that have not logged in yet, from which on new ones are dropped at random.",
    reason: "Few people log in at the same moment; a flood of half-open logins must not keep all others out.",
    precedent: "OpenSSH MaxStartups 10:30:100",
  },
  "startups.ratePercent": {
    unit: "count",
    value: 30,
    min: 1,
    max: 100,
    about: "Share of new connections dropped at `start`; it rises evenly to all of them at `full`.",
    reason: "A person who tries again gets in, a flood is thinned out.",
    precedent: "OpenSSH MaxStartups 10:30:100",
  },
  "startups.full": {
    unit: "count",
    value: 100,
    min: 1,
    about: "Connections that have not logged in yet, at which every new one is dropped.",
    reason: "Bounds the memory and processor time that strangers can hold.",
    precedent: "OpenSSH MaxStartups 10:30:100",
  },
  "sourceNetwork.ipv4Bits": {
    unit: "count",
    value: 32,
    min: 0,
    max: 32,
    about: "IPv4 addresses that agree in this many bits count as one source.",
    reason: "One person usually commands one IPv4 address.",
    precedent: "OpenSSH PerSourceNetBlockSize 32:128",
  },
  "sourceNetwork.ipv6Bits": {
    unit: "count",
    value: 64,
    min: 0,
    max: 128,
    about: "IPv6 addresses that agree in this many bits count as one source.",
    reason: "One person usually commands a whole /64, and could take a new address for each connection.",
    precedent: "RFC 6177: a site gets a /64 or more. OpenSSH takes 128.",
  },
} as const satisfies Readonly<Record<string, LimitRow>>;

const scalars: Readonly<Record<ScalarName, LimitRow>> = {
  maxConnections: {
    unit: "count",
    value: 10_000,
    min: 1,
    about: "Connections at once, in all workers together, logged in or not.",
    reason: "At 64 KB for an idle session this is 640 MB; more should be a decision.",
    precedent:
      "HAProxy and nginx also bound a process's connections by a named number (maxconn, worker_connections)",
  },
  maxConnectionsPerSource: {
    unit: "count",
    value: 1000,
    min: 1,
    about: "Connections at once from one source, logged in or not.",
    reason: "One address must not use up the whole gateway; a large office behind one address still fits.",
    precedent: "None in OpenSSH. A tenth of `maxConnections`.",
  },
  maxStartupsPerSource: {
    unit: "count",
    value: 30,
    min: 1,
    about: "Connections from one source that have not logged in yet; further ones are refused.",
    reason: "One source alone cannot fill `startups.full`. Tools that open many logins in parallel fit in.",
    precedent: "OpenSSH PerSourceMaxStartups (none by default); Dropbear allows 5 for each address",
  },
  handshakeSeconds: {
    unit: "seconds",
    value: 30,
    min: 1,
    max: 3600,
    about: "Time for the version line and the first key exchange.",
    reason: "No person takes part in it, so it needs far less than the grace time for the login.",
    precedent:
      "None in OpenSSH, which has the grace time alone; a client's ConnectTimeout is commonly 10 to 30",
  },
  loginGraceSeconds: {
    unit: "seconds",
    value: 120,
    min: 1,
    max: 86_400,
    about: "Time from the connection to the end of the login, the login at the upstream included.",
    reason: "Long enough to find a password or touch a key; holds a place under `startups` no longer.",
    precedent: "OpenSSH LoginGraceTime 120",
  },
  upstreamLoginSeconds: {
    unit: "seconds",
    value: 30,
    min: 1,
    max: 3600,
    about:
      "Time for key exchange and login at the upstream, for each round that waits for the upstream alone.",
    reason: "A hung upstream must be told to the person before the client's own patience ends.",
    precedent: "PAM modules of an upstream may delay a failed password for some seconds; none in OpenSSH",
  },
  maxAuthTries: {
    unit: "count",
    value: 6,
    min: 1,
    max: 1000,
    about: "Failed tries to log in on one connection.",
    reason: "A person with several keys in an agent gets through; a guesser must connect anew.",
    precedent: "OpenSSH MaxAuthTries 6",
  },
  maxKeyQueries: {
    unit: "count",
    value: 48,
    min: 1,
    max: 10_000,
    about: "Public keys asked about, without proof, on one connection.",
    reason: "Agents hold many keys; each question costs a look at files and nothing else.",
    precedent: "OpenSSH counts questions as tries; here they are apart, and bounded all the same",
  },
  failureDelaySeconds: {
    unit: "seconds",
    value: 1,
    min: 0,
    max: 60,
    about: "A refused password is answered no sooner than this, whatever the reason.",
    reason:
      "Names that exist and names that do not must look alike from outside; it also slows guessing down.",
    precedent:
      "Two seconds of pam_unix behind most sshd; OpenSSH itself waits 5 ms or more, by the user's name",
  },
  maxChannels: {
    unit: "count",
    value: 1024,
    min: 1,
    max: 65_536,
    about: "Channels open at once in one session, opened by either side.",
    reason:
      "Browsers over -D use hundreds; a client that opens 100,000 is stopped here, not by the upstream's memory.",
    precedent: "OpenSSH allows 10 session channels (MaxSessions) and bounds others by its table of 16,384",
  },
  rekeyBytes: {
    unit: "bytes",
    value: 1024 ** 3,
    min: 1024 ** 2,
    about: "Bytes in one direction after which new keys are exchanged.",
    reason: "Bounds what one key protects.",
    precedent: "RFC 4253, section 9: each gigabyte",
  },
  rekeyPackets: {
    unit: "count",
    value: 2 ** 31,
    min: 1000,
    max: 2 ** 31,
    about: "Packets in one direction after which new keys are exchanged.",
    reason: "Sequence numbers, which are nonces in some ciphers, must not come round.",
    precedent: "RFC 4344, section 3.1: at the latest after 2³² packets; OpenSSH takes 2³¹",
  },
  rekeySeconds: {
    unit: "seconds",
    value: 3600,
    min: 10,
    about: "Time after which new keys are exchanged.",
    reason: "Bounds what one stolen key opens.",
    precedent: "RFC 4253, section 9: each hour",
  },
};

/** All limits that can be set, by their key under `limits`. */
export const limitRows: Readonly<Record<string, LimitRow>> = { ...grouped, ...scalars };

function field(row: LimitRow): z.ZodType<number> {
  const bounds: Bounds = {
    ...(row.min === undefined ? {} : { min: row.min }),
    ...(row.max === undefined ? {} : { max: row.max }),
  };
  const shape = { seconds: duration, bytes: size, count }[row.unit](bounds);
  return shape.prefault(row.value).describe(row.about);
}

/** A group whose every key has a default, and which may be absent for that. */
function group<T>(shape: z.ZodType<T>): z.ZodType<T> {
  return shape.prefault({});
}

const startups = group(
  z
    .strictObject({
      start: field(grouped["startups.start"]),
      ratePercent: field(grouped["startups.ratePercent"]),
      full: field(grouped["startups.full"]),
    })
    .superRefine((value, ctx) => {
      if (value.full >= value.start) return;
      ctx.addIssue({
        code: "custom",
        path: ["full"],
        message: `must not be below start, which is ${value.start}`,
      });
    }),
).describe("Random early drop of connections that have not logged in.");

const sourceNetwork = group(
  z.strictObject({
    ipv4Bits: field(grouped["sourceNetwork.ipv4Bits"]),
    ipv6Bits: field(grouped["sourceNetwork.ipv6Bits"]),
  }),
).describe("What counts as one source.");

const scalarFields = Object.fromEntries(Object.entries(scalars).map(([name, row]) => [name, field(row)])) as {
  readonly [Name in ScalarName]: z.ZodType<number>;
};

export const limitsSchema: z.ZodType<Limits> = group(
  z.strictObject({ startups, sourceNetwork, ...scalarFields }),
).describe(
  "What all clients together, one source and one session may use. Reasons and precedents: docs/limits.md.",
);

import { availableParallelism } from "node:os";
import type { Figure, Metric } from "./schema.ts";
import { median } from "./statistics.ts";

/** What a report says, for the goals to ask. */
export class Findings {
  readonly #figures: readonly Figure[];

  constructor(figures: readonly Figure[]) {
    this.#figures = figures;
  }

  value(name: string, subject: string, metric: Metric): number | undefined {
    return this.#figure(name, subject, metric)?.median;
  }

  /** The ratio of figures of the same case, round by round. */
  ratio(name: string, subject: string, metric: Metric, other: string): number | undefined {
    const figure = this.#figure(name, subject, metric);
    return figure?.ratios.find((each) => each.subject === other && each.metric === metric)?.median;
  }

  /** By how much it is more than that of another subject, round by round. */
  difference(name: string, subject: string, metric: Metric, other: string): number | undefined {
    const [ours, theirs] = [this.#figure(name, subject, metric), this.#figure(name, other, metric)];
    if (ours === undefined || theirs === undefined) return undefined;
    return median(ours.samples.map((sample, round) => sample - (theirs.samples[round] ?? Number.NaN)));
  }

  #figure(name: string, subject: string, metric: Metric): Figure | undefined {
    return this.#figures.find(
      (figure) => figure.case === name && figure.subject === subject && figure.metric === metric,
    );
  }
}

/** One part of a goal: what was found, and the most (or least) it may be. */
export interface Part {
  readonly what: string;
  readonly found: number | undefined;
  readonly atMost?: number;
  readonly atLeast?: number;
  /** Told, but decides nothing: the goal is about something else that is near. */
  readonly onlyTold?: boolean;
  /** The goal is about something else in the first place: where this cannot be had, it is met as far as it can be told. */
  readonly beside?: boolean;
  /** Why a miss says nothing on this machine. */
  readonly onlyHere?: string;
}

export interface Goal {
  readonly id: string;
  readonly what: string;
  readonly goal: string;
  parts(findings: Findings): readonly Part[];
  /** What no case measures. */
  readonly open?: string;
}

/** With fewer, whoever sends and takes needs the cores that the gateway is to have. */
const cores = availableParallelism();
const coresAreFree = cores >= 4;
const noCoreFree = `of ${cores} cores none is free for it`;
const whereCoresAreFree = coresAreFree ? {} : { onlyHere: noCoreFree };

const directions = ["down", "up"] as const;
const gb = "proxyCpuSecondsPerGb";

/** A gateway that is never out of work against the proxy in C, and one between real ends against other proxies. */
function bulk(
  kind: "gateway" | "pure",
  cipher: string,
  atMost: number,
  others: Readonly<Record<string, number>>,
) {
  return (findings: Findings): Part[] =>
    directions.flatMap((direction) => [
      {
        what: `${direction}: to C`,
        found: findings.ratio(`saturated-${direction}-${cipher}`, kind, gb, "c"),
        atMost,
      },
      ...Object.entries(others).map(([other, most]) => ({
        what: `${direction}: to ${other}`,
        found: findings.ratio(`bulk-${direction}-${cipher}`, kind, gb, other),
        atMost: most,
        beside: true,
      })),
      // ssh2's addon does not compile for this Node as it is: who installs ssh2 has none.
      ...["sshpiperd", "ssh2-addon"]
        .filter((other) => others[other] === undefined)
        .map((other) => ({
          what: `${direction}: to ${other}`,
          found: findings.ratio(`bulk-${direction}-${cipher}`, kind, gb, other),
          onlyTold: true,
        })),
    ]);
}

/** The goals of the project, as data. */
export const goals: readonly Goal[] = [
  {
    id: "P1",
    what: "bulk, aes128-gcm, CPU",
    goal: "≤ 1.15 × the limit (openssl and a copy in C); ≤ 0.5 × a Go pipe; ≤ 0.5 × an ssh2 proxy",
    parts: bulk("gateway", "aes128-gcm", 1.15, { go: 0.5, ssh2: 0.5 }),
  },
  {
    id: "P2",
    what: "bulk, chacha20-poly1305, CPU",
    goal: "≤ 1.2 × the limit; ≤ 0.25 × Go",
    parts: bulk("gateway", "chacha20-poly1305", 1.2, { go: 0.25 }),
  },
  {
    id: "P3",
    what: "bulk, aes128-gcm, without a native part",
    goal: "≤ 2.5 × the limit; ≤ an ssh2 proxy with its addon",
    parts: bulk("pure", "aes128-gcm", 2.5, { ssh2: 1, "ssh2-addon": 1 }),
  },
  {
    id: "P4",
    what: "spliced bytes",
    goal: "≤ 0.8 × HAProxy's TCP mode in pure Node; ≤ 0.5 × with the native part",
    parts: (findings) =>
      (["pure", "gateway"] as const).flatMap((kind) =>
        directions.map((direction) => ({
          what: `${direction}: ${kind === "pure" ? "pure" : "native"} to HAProxy`,
          found: findings.ratio(`splice-${direction}`, kind, gb, "haproxy"),
          atMost: kind === "pure" ? 0.8 : 0.5,
        })),
      ),
  },
  {
    id: "P5",
    what: "ssh through the gateway against direct ssh, default cipher",
    goal: "≥ 95 % of direct MB/s where a core is free for the gateway; CPU ≤ 0.9 × sshd's as -J host",
    parts: (findings) =>
      directions.flatMap((direction) => [
        {
          what: `${direction}: CPU to the jump's`,
          found: findings.ratio(`bulk-${direction}-default`, "gateway", gb, "jump"),
          atMost: 0.9,
        },
        {
          what: `${direction}: MB/s to direct`,
          found: findings.ratio(`bulk-${direction}-default`, "gateway", "megabytesPerSecond", "direct"),
          atLeast: 0.95,
          ...whereCoresAreFree,
        },
      ]),
  },
  {
    id: "P6",
    what: "offered 300 and 100 MB/s",
    goal: "≤ 1.0 × a C proxy without moderation; ≤ 0.6 × Go; at most 2 ms added, to bulk only",
    parts: (findings) =>
      [300, 100].flatMap((rate) =>
        Object.entries({ c: 1, go: 0.6 }).map(([other, atMost]) => ({
          what: `${rate} MB/s: to ${other}`,
          found: findings.ratio(`offered-${rate}`, "gateway", gb, other),
          atMost,
        })),
      ),
  },
  {
    id: "P7",
    what: "keystrokes",
    goal: "p50 ≤ a C proxy + 20 µs, p99 ≤ + 100 µs, also while a neighbour moves bulk",
    parts: (findings) =>
      (["p50Micros", "p99Micros"] as const).flatMap((metric) =>
        (["echo", "echo-beside-bulk"] as const).map((name) => ({
          what: `${name}: ${metric.slice(0, 3)} over C, µs`,
          found: findings.difference(name, "gateway", metric, "c"),
          atMost: metric === "p50Micros" ? 20 : 100,
        })),
      ),
  },
  {
    id: "P8",
    what: "small packets (64 B)",
    goal: "≤ 0.6 µs each, ≥ 1.5 M/s a core",
    parts: (findings) => [
      {
        what: "the engine alone, gcm, µs",
        found: findings.value("lane-64", "aes128-gcm@openssh.com", "relayMicros"),
        atMost: 0.6,
      },
    ],
  },
  {
    id: "P9",
    what: "logins",
    goal: "≤ 2.5 ms CPU each, ≥ 400 a second a core; 200 at once: none waits over 3 × the mean",
    parts: (findings) => [
      {
        what: "CPU ms",
        found: findings.value("logins-many", "gateway", "proxyCpuMsPerLogin"),
        atMost: 2.5,
      },
      {
        what: "among the first, with ssh, CPU ms",
        found: findings.value("logins", "gateway", "proxyCpuMsPerLogin"),
        onlyTold: true,
      },
      {
        what: "worst to mean",
        found: findings.value("logins-many", "gateway", "worstToMeanWait"),
        atMost: 3,
      },
    ],
  },
  {
    id: "P10",
    what: "idle sessions",
    goal: "≤ 64 KB each; 10,000 at once; keepalive CPU under 1 % of a core",
    parts: (findings) => [
      { what: "kB each", found: findings.value("idle-many", "gateway", "kilobytesPerSession"), atMost: 64 },
      { what: "at once", found: findings.value("idle-many", "gateway", "sessionsAtOnce"), atLeast: 10_000 },
      {
        what: "CPU ms/s for 10,000",
        found: times(findings.value("idle-many", "gateway", "cpuMsPerSessionSecond"), 10_000),
        atMost: 10,
      },
      {
        what: "kB each tunnel",
        found: findings.value("tunnels", "gateway", "kilobytesPerSession"),
        atMost: 64,
      },
      {
        what: "tunnels: CPU ms/s for 10,000",
        found: times(findings.value("tunnels", "gateway", "cpuMsPerSessionSecond"), 10_000),
        atMost: 10,
      },
    ],
  },
  {
    id: "P11",
    what: "two workers",
    goal: "≥ 1.5 × one in bulk, ≥ 1.8 × in logins, where two cores are free",
    parts: (findings) => [
      {
        what: "logins",
        found: findings.ratio("workers", "two", "loginsPerSecond", "one"),
        atLeast: 1.8,
        onlyTold: !coresAreFree,
      },
      {
        what: "bulk",
        found: findings.ratio("workers-bulk", "two", "megabytesPerSecond", "one"),
        atLeast: 1.5,
        onlyTold: !coresAreFree,
      },
    ],
    ...(coresAreFree ? {} : { open: noCoreFree }),
  },
  {
    id: "P12",
    what: "start",
    goal: "ready in ≤ 300 ms from a release build, ≤ 80 MB RSS idle",
    parts: (findings) => [
      { what: "release, ms", found: findings.value("start", "release", "readyMs"), atMost: 300 },
      { what: "release, MB", found: findings.value("start", "release", "idleMegabytes"), atMost: 80 },
      { what: "sources, ms", found: findings.value("start", "gateway", "readyMs"), onlyTold: true },
      { what: "sources, MB", found: findings.value("start", "gateway", "idleMegabytes"), onlyTold: true },
    ],
  },
  {
    id: "F1",
    what: "sftp with root and record, one large file",
    goal: "≥ 90 % of the unread pipe's MB/s without hashing, and ≤ 1.1 × its CPU",
    parts: (findings) =>
      directions.flatMap((direction) => [
        {
          what: `${direction}: MB/s to unread`,
          found: findings.ratio(`sftp-${direction}`, "unhashed", "megabytesPerSecond", "unread"),
          atLeast: 0.9,
        },
        {
          what: `${direction}: CPU`,
          found: findings.ratio(`sftp-${direction}`, "unhashed", gb, "unread"),
          atMost: 1.1,
        },
        {
          what: `${direction}: CPU with SHA-256`,
          found: findings.ratio(`sftp-${direction}`, "root+record", gb, "unread"),
          onlyTold: true,
        },
      ]),
  },
  {
    id: "F2",
    what: "sftp with root and record, many small files",
    goal: "≥ 90 % of the unread pipe's files in a second",
    parts: (findings) =>
      directions.flatMap((direction) => [
        {
          what: `${direction}: files/s to unread`,
          found: findings.ratio(`sftp-small-${direction}`, "root+record", "filesPerSecond", "unread"),
          atLeast: 0.9,
        },
        {
          what: `${direction}: CPU of each`,
          found: findings.ratio(`sftp-small-${direction}`, "root+record", "proxyCpuMicrosPerFile", "unread"),
          onlyTold: true,
        },
      ]),
  },
  {
    id: "P13",
    what: "pysshrp, same work",
    goal: "≤ 1/40 of its CPU per GB and ≤ 1/15 per login",
    parts: (findings) => [
      ...directions.map((direction) => ({
        what: `sftp ${direction}`,
        found: findings.ratio(`sftp-pysshrp-${direction}`, "gateway", gb, "pysshrp"),
        atMost: 1 / 40,
      })),
      {
        what: "login, ours as cold as pysshrp's",
        found: findings.ratio("logins-pysshrp", "gateway", "proxyCpuMsPerLogin", "pysshrp"),
        onlyTold: true,
      },
      {
        what: "login, ours warm",
        found: quotient(
          findings.value("logins-many", "gateway", "proxyCpuMsPerLogin"),
          findings.value("logins-pysshrp", "pysshrp", "proxyCpuMsPerLogin"),
        ),
        atMost: 1 / 15,
      },
    ],
  },
];

function quotient(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? undefined : a / b;
}

function times(a: number | undefined, factor: number): number | undefined {
  return a === undefined ? undefined : a * factor;
}

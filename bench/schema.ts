/**
 * The one schema of results: what `--json` writes and `baseline.json` holds.
 *
 * A case is measured for several subjects (ways from the same client to the same upstream), interleaved: each round measures every
 * subject once. Only ratios of one round are comparable between machines and hours.
 */
export interface Report {
  readonly schema: "postern-bench/1";
  /** ISO time of the start. */
  readonly at: string;
  /** Shorter transfers and fewer rounds. */
  readonly quick: boolean;
  readonly machine: Machine;
  /** Load average of a minute before the first case and after the last: what else went on is in it. */
  readonly load: readonly [before: number, after: number];
  /** Rivals that could not be measured, and why. */
  readonly absent: Readonly<Record<string, string>>;
  readonly figures: readonly Figure[];
  /** Seconds that each case took. */
  readonly took?: Readonly<Record<string, number>>;
  readonly goals: readonly GoalVerdict[];
}

/** The kind of machine, and what ran on it. Nothing that names one. */
export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly kernel: string;
  readonly node: string;
  readonly openssl: string;
  readonly openssh: string;
}

/** One measured quantity of one subject in one case. */
export interface Figure {
  readonly case: string;
  readonly subject: string;
  readonly metric: Metric;
  /** One value for each round, in order. */
  readonly samples: readonly number[];
  readonly median: number;
  readonly low: number;
  readonly high: number;
  readonly ratios: readonly Ratio[];
}

/** Median over the rounds of this figure divided by another of the same case. */
export interface Ratio {
  readonly subject: string;
  readonly metric: Metric;
  readonly median: number;
}

/**
 * met here: all that this machine can measure is met, and what it cannot is named. open: the goal is about what this machine has not.
 * not measured: this report lacks the figure that the goal is about.
 */
export type Verdict = "met" | "met here" | "missed" | "open" | "not measured";

export interface GoalVerdict {
  readonly id: string;
  readonly what: string;
  readonly goal: string;
  readonly verdict: Verdict;
  /** What was measured, or why nothing was. */
  readonly found: string;
}

export type Metric =
  | "proxyCpuSecondsPerGb"
  | "endsCpuSecondsPerGb"
  | "megabytesPerSecond"
  | "filesPerSecond"
  | "proxyCpuMicrosPerFile"
  | "p50Micros"
  | "p99Micros"
  | "proxyCpuMicrosPerTrip"
  | "proxyCpuMsPerLogin"
  | "endsCpuMsPerLogin"
  | "loginsPerSecond"
  | "worstToMeanWait"
  | "kilobytesPerSession"
  | "sessionsAtOnce"
  | "cpuMsPerSessionSecond"
  | "readyMs"
  | "returnSeconds"
  | "returnP50Seconds"
  | "returnP99Seconds"
  | "aloneP50Seconds"
  | "aloneWorstSeconds"
  | "idleMegabytes"
  | "sealMicros"
  | "openMicros"
  | "relayMicros";

export interface MetricRow {
  readonly unit: string;
  readonly better: "less" | "more";
  readonly what: string;
}

/** Every metric, with its unit, and whether less or more is better. GB and MB are powers of ten. */
export const metrics: Readonly<Record<Metric, MetricRow>> = {
  proxyCpuSecondsPerGb: {
    unit: "CPU s/GB",
    better: "less",
    what: "CPU of the middle: gateway, jump sshd, proxy",
  },
  filesPerSecond: { unit: "files/s", better: "more", what: "Files that were copied in a second" },
  proxyCpuMicrosPerFile: { unit: "CPU µs", better: "less", what: "CPU of the middle for a small file" },
  endsCpuSecondsPerGb: { unit: "CPU s/GB", better: "less", what: "CPU of ssh, sshd and the remote command" },
  megabytesPerSecond: { unit: "MB/s", better: "more", what: "rate" },
  p50Micros: { unit: "µs", better: "less", what: "median round trip" },
  p99Micros: { unit: "µs", better: "less", what: "99th percentile round trip" },
  proxyCpuMicrosPerTrip: { unit: "CPU µs", better: "less", what: "CPU of the middle for a round trip" },
  proxyCpuMsPerLogin: { unit: "CPU ms", better: "less", what: "CPU of the middle for a login" },
  endsCpuMsPerLogin: { unit: "CPU ms", better: "less", what: "CPU of ssh and sshd for a login" },
  loginsPerSecond: { unit: "1/s", better: "more", what: "logins" },
  worstToMeanWait: { unit: "×", better: "less", what: "longest wait over the mean" },
  kilobytesPerSession: { unit: "kB", better: "less", what: "growth of resident memory for a session" },
  sessionsAtOnce: { unit: "sessions", better: "more", what: "sessions that were there at once" },
  cpuMsPerSessionSecond: { unit: "CPU ms/s", better: "less", what: "CPU of an idle session in a second" },
  returnSeconds: {
    unit: "s",
    better: "less",
    what: "from the start of a gateway that was killed until all are back",
  },
  returnP50Seconds: {
    unit: "s",
    better: "less",
    what: "median wait of one of them, once the gateway listens",
  },
  returnP99Seconds: { unit: "s", better: "less", what: "99th percentile of those waits" },
  aloneP50Seconds: { unit: "s", better: "less", what: "median wait of a device that comes alone meanwhile" },
  aloneWorstSeconds: {
    unit: "s",
    better: "less",
    what: "longest wait of a device that comes alone meanwhile",
  },
  readyMs: { unit: "ms", better: "less", what: "from spawn to listening" },
  idleMegabytes: { unit: "MB", better: "less", what: "resident memory when idle" },
  sealMicros: { unit: "CPU µs", better: "less", what: "sealing a packet" },
  openMicros: { unit: "CPU µs", better: "less", what: "opening a packet" },
  relayMicros: { unit: "CPU µs", better: "less", what: "opening a packet and sealing it again" },
};

/** What one round found for one subject. */
export type Sample = Partial<Record<Metric, number>>;

/** How long and how often. */
export interface Size {
  readonly quick: boolean;
  readonly rounds: number;
  readonly bulkBytes: number;
  readonly echoTrips: number;
  readonly logins: number;
  readonly concurrentLogins: number;
  readonly idleSessions: number;
  readonly idleEngineSessions: number;
}

import { count, duration, formatHostPort, parseHostPort, PosternError, size } from "#base";
import type { Allowance, CheckPlan, PoolPlan } from "#contract";
import * as z from "zod";
import { withoutAbsent } from "./absent.ts";

const allowance = {
  maxConnections: count({ min: 1, max: 1_000_000 })
    .optional()
    .describe("Connections at once. Default: no limit.")
    .meta({ examples: [100] }),
  connectionsPerMinute: count({ min: 1, max: 1_000_000 })
    .optional()
    .describe("New connections in a minute, at once or one after the other. Default: no limit.")
    .meta({ examples: [60] }),
  bytesPerSecond: size({ min: 1024 })
    .optional()
    .describe("Bytes a second, for all connections together, in each direction. Default: no limit.")
    .meta({ examples: ["10MiB"] }),
} as const;

const perClient: z.ZodType<Allowance> = z
  .strictObject(allowance)
  .transform(withoutAbsent)
  .describe(
    "The same for one client: a person who has proven their name, else a network (limits.sourceNetwork). Clients of a UNIX socket are not limited.",
  );

const limits: z.ZodType<PoolPlan["limits"]> = z
  .strictObject({ ...allowance, perClient: perClient.optional() })
  .transform(withoutAbsent)
  .describe("How much of it may be used.");

const check: z.ZodType<CheckPlan> = z
  .strictObject({
    kind: z
      .enum(["tcp", "ssh", "tls"])
      .describe(
        "tcp: it can be connected to. ssh: it says an SSH version line. tls: it answers a TLS greeting.",
      ),
    intervalSeconds: duration({ min: 0.1, max: 86_400 })
      .prefault(10)
      .describe("Time between two checks; up to a fifth less, so that not all come at once."),
    timeoutSeconds: duration({ min: 0.1, max: 600 }).prefault(3).describe("Time that one check may take."),
    rise: count({ min: 1, max: 100 }).prefault(2).describe("Good checks in a row that bring it up again."),
    fall: count({ min: 1, max: 100 }).prefault(3).describe("Bad checks in a row that take it down."),
  })
  .transform(({ intervalSeconds, timeoutSeconds, ...rest }) => ({
    ...rest,
    intervalMs: intervalSeconds * 1000,
    timeoutMs: timeoutSeconds * 1000,
  }))
  .describe(
    "Each of its addresses is looked at now and then; one that is down gets nobody. Default: no checks.",
  );

const drained: z.ZodType<readonly string[]> = z
  .array(
    z.string().transform((value, ctx) => {
      try {
        return formatHostPort(parseHostPort(value, 22));
      } catch (error) {
        if (!(error instanceof PosternError)) throw error;
        ctx.addIssue({ code: "custom", message: error.detail ?? error.message });
        return z.NEVER;
      }
    }),
  )
  .default([])
  .describe("Those of its addresses that get nobody new; who is there stays. As `postern target drain` does.")
  .meta({ "x-form": "list of addresses", examples: [["a.example.lan:22"]] });

/** The keys of a target that say how its connections are spread. */
export const poolFields: {
  readonly balance: z.ZodType<PoolPlan["balance"]>;
  readonly sticky: z.ZodType<PoolPlan["sticky"]>;
  readonly slowStartSeconds: z.ZodType<number>;
  readonly drained: typeof drained;
  readonly check: z.ZodType<CheckPlan | undefined>;
  readonly limits: typeof limits;
} = {
  balance: z
    .enum(["first", "random", "round-robin", "least-sessions"])
    .default("first")
    .describe(
      "Which of its addresses is next: the first that is up, any, each in turn, or the one with the fewest connections. When one cannot be reached, another is tried.",
    ),
  sticky: z
    .enum(["user", "source"])
    .optional()
    .describe("The same address for the same user name, or for the same network, as long as it is up."),
  slowStartSeconds: duration({ min: 0, max: 86_400 })
    .prefault(0)
    .describe("For so long after an address came up again, it gets fewer than the others. 0: all at once."),
  drained,
  check: check.optional(),
  limits: limits.prefault({}),
};

/** What those keys say. */
export function poolOf(value: {
  readonly balance: PoolPlan["balance"];
  readonly sticky: PoolPlan["sticky"];
  readonly slowStartSeconds: number;
  readonly drained: readonly string[];
  readonly limits: PoolPlan["limits"];
}): PoolPlan {
  const { balance, sticky, slowStartSeconds, drained: out, limits: allowed } = value;
  return {
    balance,
    ...(sticky === undefined ? {} : { sticky }),
    slowStartMs: slowStartSeconds * 1000,
    drained: out,
    limits: allowed,
  };
}

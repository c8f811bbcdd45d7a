import { type AuditConfig, auditKinds } from "#audit";
import { type UsersConfig, usersSchema } from "#auth";
import { count, duration, logLevels, type LogLevel, path } from "#base";
import {
  type AlgorithmPreferences,
  cipherAlgorithms,
  defaultAlgorithms,
  groupExchanges,
  kexMethods,
  macAlgorithms,
  signatureAlgorithms,
} from "#ssh/algorithms";
import type { ListenPlan, TlsPlan } from "#contract";
import * as z from "zod";
import { revokedSchema } from "./key-match.ts";
import { type DevicesConfig, devicesSchema } from "./devices.ts";
import { kindUnion } from "./kind-union.ts";
import { type Limits, limitsSchema } from "./limits.ts";
import { listenSchema, refuseTakenAddresses, tlsSchema } from "./listen.ts";
import { type SignInConfig, signInSchema } from "#http-proxy";
import { type RuleConfig, ruleSchema } from "./rule.ts";
import { type SpliceRuleConfig, spliceRuleSchema, type TargetConfig, targetSchema } from "./target.ts";

export interface LogConfig {
  readonly level: LogLevel;
  readonly format: "auto" | "json" | "pretty";
  readonly file?: string | undefined;
}

export interface KeepaliveConfig {
  /** 0: no keepalives. */
  readonly intervalSeconds: number;
  readonly maxMissed: number;
}

/** All that an operator decides. Frozen, with every default filled in and every path absolute. */
export interface Config {
  /** The file it came from, or a name in angle brackets. */
  readonly file: string;
  readonly listen: readonly ListenPlan[];
  readonly hostKeys: readonly string[];
  readonly stateDir: string;
  readonly control: string;
  readonly workers: number;
  readonly user?: string | undefined;
  readonly group?: string | undefined;
  readonly log: LogConfig;
  readonly audit: readonly AuditConfig[];
  readonly limits: Limits;
  readonly keepalive: KeepaliveConfig;
  readonly drain: { readonly limitSeconds: number };
  readonly algorithms: AlgorithmPreferences;
  readonly tls: TlsPlan;
  readonly users: UsersConfig;
  /** Absent: there are no pages for browsers that sign in. */
  readonly signIn?: SignInConfig | undefined;
  /** Absent: there are no devices. */
  readonly devices?: DevicesConfig | undefined;
  readonly targets: readonly TargetConfig[];
  /** Files of revoked keys, for all rules. */
  readonly revoked?: readonly string[] | undefined;
  /** Rules that open sessions here. */
  readonly rules: readonly RuleConfig[];
  /** Rules of `mode: splice`, in their order. */
  readonly spliceRules: readonly SpliceRuleConfig[];
}

/** Of both kinds, as operators count them. */
export function ruleCount({ rules, spliceRules }: Pick<Config, "rules" | "spliceRules">): number {
  return rules.length + spliceRules.length;
}

export type AnyRule = Omit<RuleConfig, "place"> | Omit<SpliceRuleConfig, "place">;

/** What one file holds, before files are put together. */
export interface MainFile extends Omit<Config, "file" | "hostKeys" | "control" | "rules" | "spliceRules"> {
  readonly hostKeys?: readonly string[] | undefined;
  readonly control?: string | undefined;
  readonly include: readonly string[];
  readonly rules: readonly AnyRule[];
}

export type IncludedFile = Pick<MainFile, "include" | "rules" | "targets">;

/** Keys that a running gateway cannot change: they need a restart. */
export const restartKeys = [
  "stateDir",
  "control",
  "workers",
  "user",
  "group",
  "log.file",
  "log.format",
  "devices.database",
  "devices.sameKey",
] as const;

function names(
  known: Iterable<string>,
  defaults: readonly string[],
  about: string,
): z.ZodType<readonly string[]> {
  return z
    .array(z.enum([...known]))
    .min(1)
    .default([...defaults])
    .describe(`${about}, best first.`);
}

/** SHA-1 signatures are a matter of one old upstream (dangerouslyAllowSha1), never of the gateway as a whole. */
const signatureNames = [...signatureAlgorithms.keys()].filter(
  (name) => name !== "ssh-rsa" && !name.startsWith("sk-"),
);

const algorithms: z.ZodType<AlgorithmPreferences> = z
  .strictObject({
    kex: names(
      [...kexMethods.keys(), ...groupExchanges.keys()],
      defaultAlgorithms.kex,
      "Key exchange methods",
    ),
    hostKeys: names(signatureNames, defaultAlgorithms.hostKeys, "Host key algorithms"),
    ciphers: names(cipherAlgorithms.keys(), defaultAlgorithms.ciphers, "Ciphers"),
    macs: names(macAlgorithms.keys(), defaultAlgorithms.macs, "MACs, for ciphers that need one"),
  })
  .describe("What is offered, to clients and to upstreams.");

const accountName = z
  .string()
  .regex(/^[\w][\w.-]*\$?$/, { error: "expected the name of an account on this machine" });

const include = z
  .array(z.string().min(1))
  .default([])
  .describe(
    "More files, or globs, relative to this file. They may hold `rules`, `targets` and `include`. Where `include` stands above `rules`, their rules come first; below it, last. The files of a glob come in the order of their names.",
  )
  .meta({ examples: [["conf.d/*.yaml"]] });

/** Each is a strict object with `mode` in it, which their types do not say. */
const anyRule = z.discriminatedUnion("mode", [ruleSchema, spliceRuleSchema] as unknown as [
  z.ZodObject<{ mode: z.ZodLiteral }>,
]);

const targets: z.ZodType<readonly TargetConfig[]> = z
  .array(targetSchema)
  .default([])
  .describe("Places that clients name by ways other than the user name. See below.");

const rules = z
  .array(anyRule)
  .default([])
  .describe("Read from top to bottom: the first rule that matches wins.") as unknown as z.ZodType<
  MainFile["rules"]
>;

const stateDir = path()
  .prefault("state")
  .describe("Where the gateway keeps what it makes itself: host keys, the control socket.");

const log: z.ZodType<LogConfig> = z
  .strictObject({
    level: z.enum(logLevels).default("info").describe("The least important lines that are written."),
    format: z
      .enum(["auto", "json", "pretty"])
      .default("auto")
      .describe("auto: pretty on a terminal, JSON with a priority for the journal under systemd, else JSON."),
    file: path().optional().describe("A file in place of stderr; SIGUSR1 opens it anew."),
  })
  .describe("Where and how much is logged.");

const keepalive: z.ZodType<KeepaliveConfig> = z
  .strictObject({
    intervalSeconds: duration({ min: 0, max: 86_400 })
      .prefault(30)
      .describe(
        "How long a side may be silent before it is asked whether it is there; six times that, and up to fifty times where there are thousands, where the kernel asks (TCP keepalive) and nothing is under way. 0: never asked.",
      ),
    maxMissed: count({ min: 1, max: 1000 })
      .prefault(3)
      .describe("Unanswered questions after which the session ends."),
  })
  .describe("How a dead client or upstream is noticed.");

const drain: z.ZodType<{ limitSeconds: number }> = z
  .strictObject({
    limitSeconds: duration({ min: 0, max: 30 * 86_400 })
      .prefault(3600)
      .describe("How long live sessions may go on after SIGTERM."),
  })
  .describe("How the gateway stops.");

const control = path()
  .optional()
  .describe("UNIX socket for `postern reload`, `status` and `log-level`. Default: control.sock in stateDir.");

/** The lines of the main file that tell where the control socket is, whatever else is in it. */
export const controlSchema: z.ZodType<Pick<MainFile, "stateDir" | "control">> = z.object({
  stateDir,
  control,
});

/** The schema of the main file: the types, the checks, docs/config.md and docs/config.schema.json come from this. */
export const mainSchema: z.ZodType<MainFile> = z.strictObject({
  listen: z
    .array(listenSchema)
    .min(1)
    .superRefine(refuseTakenAddresses)
    .describe(
      "Where clients connect: host:port, [v6]:port, :port for every address, unix:/path, or systemd[:name] for a passed socket. A map says more: see below.",
    )
    .meta({ examples: [[":2222"]] }),
  hostKeys: z
    .array(path({ exists: true }))
    .min(1)
    .optional()
    .describe(
      "Private keys that identify the gateway to its clients (`postern key generate` makes one), and certificates for them; a certificate beside its key, KEY-cert.pub, need not be listed. Default: ssh_host_ed25519_key in stateDir.",
    ),
  stateDir,
  control,
  workers: count({ min: 1, max: 256 })
    .prefault(1)
    .describe("Processes that share the listening port, one per core at most."),
  user: accountName
    .optional()
    .describe("Account to run as, when started as root: taken on after listening, for good."),
  group: accountName.optional().describe("Group to run as. Default: that of `user`."),
  log: log.prefault({}),
  audit: z
    .array(kindUnion(auditKinds))
    .default([])
    .describe("Where the audit goes: [audit.md](audit.md). None: there is no audit."),
  limits: limitsSchema,
  keepalive: keepalive.prefault({}),
  drain: drain.prefault({}),
  algorithms: algorithms.prefault({}),
  tls: tlsSchema.prefault({}),
  users: usersSchema.prefault({}),
  signIn: signInSchema.optional(),
  devices: devicesSchema.optional(),
  revoked: revokedSchema,
  include,
  targets,
  rules,
});

/** The schema of an included file. */
export const includedSchema: z.ZodType<IncludedFile> = z.strictObject({ include, targets, rules });

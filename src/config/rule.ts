import { type AuthConfig, authKinds } from "#auth";
import { pattern, place, type Template } from "#base";
import type { Policy, RuleMatch, ServePlan } from "#contract";
import * as z from "zod";
import { withoutAbsent } from "./absent.ts";
import { holds } from "./holds.ts";
import { keyLoginProblems, keyMatch, revokedSchema } from "./key-match.ts";
import { kindUnion } from "./kind-union.ts";
import { faultInSteps, type RequiredKinds, requireSchema } from "./login-steps.ts";
import { outsideLoginProblems } from "./outside-login.ts";
import { completeMounts, type SftpConfig, withoutEffect } from "./mounts.ts";
import { policyNames, policySchema } from "./policy.ts";
import { sftpPolicy, sftpSchema } from "./sftp.ts";
import { shortName } from "./short-name.ts";
import { noUpstream, type UpstreamConfig, upstreamSchema } from "./upstream.ts";

/** One rule, its adapters not yet made. */
export interface RuleConfig {
  readonly name: string;
  readonly match: RuleMatch;
  readonly login: readonly AuthConfig[];
  /** Absent: any one of `login`. */
  readonly require?: RequiredKinds;
  readonly targets?: readonly string[];
  readonly upstream: UpstreamConfig;
  /** Present: the session ends here, and the upstream has no address. */
  readonly serve?: ServePlan;
  /** Files of revoked keys, besides those for all rules. */
  readonly revoked?: readonly string[];
  /** Absent: everything passes. */
  readonly policy?: Policy;
  /** Absent: files are not looked at. */
  readonly sftp?: SftpConfig;
  /** Where it stands, for people: `file:line`. */
  readonly place: string;
}

const match: z.ZodType<RuleMatch> = z
  .strictObject({
    user: z
      .string()
      .min(1)
      .optional()
      .describe("The exact user name.")
      .meta({ examples: ["web12"] }),
    userPattern: pattern
      .optional()
      .describe(
        "A regular expression over the whole user name (RE2's syntax); its captures can be used below.",
      ),
    targets: z
      .array(z.string().min(1))
      .min(1)
      .optional()
      .describe(
        "The client came by the name of one of these targets of `mode: terminate`: names, tag:NAME, or * for all. The upstream needs no host then, and {target} is the target's name. Without it, the rule is for who came by none.",
      )
      .meta({ examples: [["db1", "tag:recorded"]] }),
    to: z
      .array(place)
      .min(1)
      .optional()
      .describe(
        "Addresses and ports of the gateway: one of them must be what the client connected to. {to} and {toPort} are it.",
      )
      .meta({ examples: [["2001:db8:1::/64"]] }),
    ...keyMatch.fields,
    ...holds.fields,
  })
  .superRefine((value, ctx) => {
    if (value.user !== undefined && value.userPattern !== undefined) {
      ctx.addIssue({
        code: "custom",
        path: ["userPattern"],
        message: "stands beside user; give one of the two",
      });
    }
    keyMatch.refine(value, ctx);
    holds.refine(value, ctx);
  })
  .transform(({ notBefore, notAfter, key, fingerprint, ...rest }) =>
    withoutAbsent({
      ...rest,
      notBeforeMs: notBefore,
      notAfterMs: notAfter,
      keys: key,
      fingerprints: fingerprint,
    }),
  );

export const ruleName: z.ZodString = shortName
  .describe("Its name in logs and in `postern explain`; each once.")
  .meta({ examples: ["web"] });

export const ruleSchema: z.ZodType<Omit<RuleConfig, "place">> = z
  .strictObject({
    name: ruleName,
    mode: z
      .literal("terminate")
      .optional()
      .describe("The session is opened here: the client logs in at the gateway. Other modes: see below."),
    match: match
      .prefault({})
      .describe("Whom it takes: all conditions given must hold. Without user and userPattern: any name."),
    login: z
      .array(kindUnion(authKinds))
      .min(1)
      .describe("How the client proves itself: any one suffices, unless `require` says more."),
    require: requireSchema.optional(),
    targets: z
      .array(z.string().min(1))
      .min(1)
      .optional()
      .describe(
        "Hosts that the client may name by captures: patterns with * and ?, and ! in front to refuse. With `serve`: what may be reached, as names of targets, tag:NAME, or * for all.",
      )
      .meta({ examples: [["*.example.lan", "!db.example.lan"]] }),
    serve: z
      .enum(["jump", "devices"])
      .optional()
      .describe(
        "In place of an upstream. jump: a jump host, whose clients go on to the `targets` by `ssh -J`; see [jump-host.md](jump-host.md). devices: machines that hold tunnels; see [devices.md](devices.md).",
      ),
    upstream: upstreamSchema
      .optional()
      .describe(
        "Where the session goes; required without `serve`. With `serve`: how the gateway logs in at a target that is chosen in the menu, without host and port; absent, there is no menu.",
      ),
    revoked: revokedSchema,
    policy: policySchema
      .optional()
      .describe("What who is in may do: only what stands here. Without policy, everything passes, unread."),
    sftp: sftpSchema
      .optional()
      .describe(
        "What may be done with files, and what is told of them. See [sftp.md](sftp.md). With more than `record` and without a policy, nothing but SFTP is allowed.",
      ),
  })
  .transform(({ mode, serve, upstream, targets, sftp: files, ...given }, ctx) => {
    void mode;
    const mounts = files?.mounts === undefined ? undefined : completeMounts(files.mounts, upstream, ctx);
    const plan = files === undefined ? undefined : withoutAbsent({ ...files, mounts });
    const rule = { ...given, sftp: plan, policy: sftpPolicy({ ...given, sftp: plan }, ctx) };
    const missing = (key: string, message: string): void =>
      ctx.addIssue({ code: "custom", path: [key], message });
    if (mounts !== undefined && serve === undefined) {
      for (const key of given.policy === undefined ? [] : withoutEffect(given.policy))
        ctx.addIssue({
          code: "custom",
          path: ["policy", key],
          message: "has no effect with mounts: there is SFTP alone",
        });
      if (rule.match.targets !== undefined)
        missing("match", "targets have no effect with mounts: each has its own place");
      const kind: ServePlan = { kind: "files", targets: [] };
      return withoutAbsent({ ...rule, targets, serve: kind, upstream: noUpstream });
    }
    if (serve !== undefined) {
      if (rule.sftp !== undefined) missing("sftp", "has no effect with serve");
      if (serve === "jump" && targets === undefined)
        missing("targets", "is missing: say what may be reached");
      if (serve === "devices" && targets !== undefined) missing("targets", "has no effect for devices");
      if (serve === "devices" && upstream !== undefined) missing("upstream", "has no effect for devices");
      if ((serve === "devices") !== rule.login.every(({ kind }) => kind === "device"))
        missing("login", "kind: device and serve: devices belong together");
      if (upstream !== undefined && (upstream.addresses.length > 0 || upstream.target !== undefined))
        missing("upstream", "can have no host here: each target has its own");
      const plan: ServePlan = { kind: serve, targets: targets ?? [] };
      return withoutAbsent({ ...rule, targets: undefined, serve: plan, upstream: upstream ?? noUpstream });
    }
    if (rule.login.some(({ kind }) => kind === "device"))
      missing("login", "kind: device needs serve: devices");
    if (upstream === undefined) missing("upstream", "is missing");
    else if (
      upstream.addresses.length === 0 &&
      upstream.target === undefined &&
      rule.match.targets === undefined
    )
      missing("upstream", "is missing: give host, or addresses, or target");
    return withoutAbsent({ ...rule, targets, serve: undefined, upstream: upstream ?? noUpstream });
  })
  .superRefine((rule, ctx) => {
    const names = [
      ...namesOf(rule.match),
      ...((rule.serve === undefined || rule.serve.kind === "files") && rule.match.targets === undefined
        ? []
        : ["target"]),
    ];
    for (const { template, path } of templatesIn(rule, [])) {
      const more: readonly string[] = path[0] === "policy" ? policyNames : [];
      const unknown = template.names.find((name) => !names.includes(name) && !more.includes(name));
      if (unknown === undefined) continue;
      const message = `"${template.text}" uses {${unknown}}, but the rule has only ${names.map((name) => `{${name}}`).join(", ")}`;
      ctx.addIssue({ code: "custom", path, message });
    }
    for (const { path, message } of openHosts(rule)) ctx.addIssue({ code: "custom", path, message });
    const fault = faultInSteps(rule.login, rule.require);
    if (fault !== undefined) ctx.addIssue({ code: "custom", path: [fault.key], message: fault.message });
    for (const { path, message } of keyLoginProblems(rule, rule.require?.[0]))
      ctx.addIssue({ code: "custom", path: [...path], message });
    for (const { path, message } of outsideLoginProblems(rule))
      ctx.addIssue({ code: "custom", path: [...path], message });
    const asksUpstream = rule.login.findIndex(
      (login) => login.kind === "password" && login.check === "upstream",
    );
    if (asksUpstream >= 0 && rule.serve !== undefined) {
      const message = "there is no upstream to ask: give hashes";
      ctx.addIssue({ code: "custom", path: ["login", asksUpstream, "check"], message });
    } else if (
      asksUpstream >= 0 &&
      !rule.upstream.credentials.some(({ kind }) => kind === "client-password")
    ) {
      const message = "needs the credential client-password among the upstream's, to send the password there";
      ctx.addIssue({ code: "custom", path: ["login", asksUpstream, "check"], message });
    }
  });

/** What templates of a rule may use. */
function namesOf({ userPattern: found, certificate, to }: RuleMatch): string[] {
  const numbers = Array.from({ length: found?.groupCount ?? 0 }, (_, at) => String(at + 1));
  const places = to === undefined ? [] : ["to", "toPort"];
  return ["user", "0", ...numbers, ...places, ...(found?.names ?? []), ...(certificate?.keyId?.names ?? [])];
}

/** All templates below a value, wherever an adapter keeps them, with their key paths as written in the file. */
function* templatesIn(
  value: unknown,
  path: (string | number)[],
): Generator<{ template: Template; path: (string | number)[] }> {
  if (typeof value !== "object" || value === null) return;
  if (isTemplate(value)) yield { template: value, path };
  else
    for (const [key, inner] of Object.entries(value))
      yield* templatesIn(inner, [...path, Array.isArray(value) ? Number(key) : key]);
}

function isTemplate(value: object): value is Template {
  return "expand" in value && "names" in value && "text" in value;
}

/**
 * The key path under which a part of a rule was written: the plan keeps host and port in `addresses`, however they were given.
 * `written` tells whether the file has a key path.
 */
export function pathAsWritten(
  path: readonly PropertyKey[],
  written: (path: readonly PropertyKey[]) => boolean,
): readonly PropertyKey[] {
  const at = path.indexOf("addresses");
  if (at < 0 || written(path.slice(0, at + 1))) return path;
  return [...path.slice(0, at), ...path.slice(at + 2)];
}

function openHosts(rule: Omit<RuleConfig, "place">): { path: (string | number)[]; message: string }[] {
  if (rule.targets !== undefined) return [];
  return [...upstreamsOf(rule)].flatMap(({ upstream, path }) =>
    upstream.addresses.flatMap(({ host }, at) => {
      const fixed = host.text.replace(/\{[^{}]*\}/g, "");
      if (host.names.length === 0 || /[A-Za-z0-9]/.test(fixed)) return [];
      const message = `"${host.text}" lets the client name any host; list the allowed ones in targets`;
      return [{ path: [...path, "addresses", at, "host"], message }];
    }),
  );
}

/** All that a rule leads to, and where that stands in it. */
export function* upstreamsOf({ upstream, sftp }: Pick<RuleConfig, "upstream" | "sftp">): Generator<{
  upstream: UpstreamConfig;
  path: (string | number)[];
}> {
  yield { upstream, path: ["upstream"] };
  for (const [at, mount] of (sftp?.mounts ?? []).entries())
    yield { upstream: mount.upstream, path: ["sftp", "mounts", at, "upstream"] };
}

import { type AuthConfig, authKinds } from "#auth";
import { type HostPort, pattern, place } from "#base";
import type { CheckPlan, PoolPlan, SpliceRule, Target } from "#contract";
import * as z from "zod";
import { withoutAbsent } from "./absent.ts";
import { holds } from "./holds.ts";
import { kindUnion } from "./kind-union.ts";
import { poolFields, poolOf } from "./pool.ts";
import { ruleName } from "./rule.ts";
import { shortName } from "./short-name.ts";
import { addressesOf, addressFields, connectTimeoutSeconds } from "./upstream.ts";
import { via, type ViaConfig } from "./via.ts";

/** A splice rule, its ways to log in not yet made, and where it stands. */
export interface SpliceRuleConfig extends Omit<SpliceRule, "login"> {
  readonly mode: "splice";
  readonly login?: readonly AuthConfig[];
  /** `file:line` */
  readonly place: string;
}

/** A target, and how it is reached. */
export interface TargetConfig extends Target {
  readonly pool: PoolPlan;
  readonly check?: CheckPlan;
  /** Version of the PROXY protocol in which it is told for whom we connect. */
  readonly proxyProtocol?: 1 | 2;
  /** The way to it, hop by hop. */
  readonly via: readonly ViaConfig[];
}

const { spread: _, ...places } = addressFields;

const otherName = z
  .string()
  .regex(/^[\w.:-]{1,253}$/, { error: "expected a name as clients say it: letters, digits, dots, dashes" });

export const targetSchema: z.ZodType<TargetConfig> = z
  .strictObject({
    name: shortName
      .describe("What rules and logs call it, and what clients may call it, unless it has a pattern.")
      .meta({ examples: ["web1"] }),
    names: z
      .array(otherName)
      .default([])
      .describe("Other names by which clients may ask for it.")
      .meta({ examples: [["web1.gate.example.com"]] }),
    pattern: pattern
      .optional()
      .describe(
        "It stands for every name that matches as a whole (in lower case); the captures, and {0} for the whole name, fill in its addresses. The pattern is all that limits what DNS is asked for.",
      ),
    tags: z
      .array(shortName)
      .default([])
      .describe("Rules can name all targets with a tag: tag:NAME.")
      .meta({ examples: [["production"]] }),
    ...places,
    ...poolFields,
    proxyProtocol: z
      .enum(["v1", "v2"])
      .optional()
      .describe(
        "It is told who the client is, in HAProxy's PROXY protocol: only for what expects that. Default: it sees the gateway's own address.",
      ),
    via,
    connectTimeoutSeconds,
    devices: z
      .boolean()
      .default(false)
      .describe(
        "It stands for all devices, by their names, and is reached by their tunnels; their own tags count as the target's. See [devices.md](devices.md).",
      ),
    mode: z
      .enum(["splice", "terminate"])
      .default("splice")
      .describe(
        "splice: SSH for it passes unopened. terminate: it ends at the gateway, and the rules with match.targets decide once more, for who logs in there; without an address, the target is the gateway itself.",
      ),
    tls: z
      .boolean()
      .default(false)
      .describe("It speaks TLS itself: TLS for its name is passed on unopened (entry tls)."),
    http: z
      .boolean()
      .default(false)
      .describe("It speaks HTTP: requests whose Host is its name reach it (entry host)."),
    at: z
      .array(place)
      .min(1)
      .optional()
      .describe(
        "Addresses of the gateway: who connects to one of them means this target (entry address). With a pattern, that is over the address; {to} and {toPort} can fill in the target's own addresses.",
      )
      .meta({ examples: [["2001:db8:1::5", "192.0.2.1:2201"]] }),
  })
  .transform((value, ctx): TargetConfig => {
    const { name, names, tags, tls, http, at, check } = value;
    const terminate = value.mode === "terminate";
    const placed = value.host !== undefined || value.port !== undefined || value.addresses !== undefined;
    if (value.devices && (placed || value.pattern !== undefined || names.length > 0 || at !== undefined)) {
      const message = "stands for devices by their names alone: leave out names, pattern, at and addresses";
      ctx.addIssue({ code: "custom", path: ["devices"], message });
    }
    const addresses = (terminate && !placed) || value.devices ? [] : addressesOf(value, ctx);
    for (const key of ["tls", "http"] as const) {
      const message = "is not SSH, and so cannot end at the gateway: leave out mode: terminate";
      if (terminate && value[key]) ctx.addIssue({ code: "custom", path: [key], message });
    }
    const known = [
      "0",
      ...Array.from({ length: value.pattern?.groupCount ?? 0 }, (_, group) => String(group + 1)),
      ...(value.pattern?.names ?? []),
    ];
    const open = [
      ...(value.pattern === undefined ? [] : known),
      ...(at === undefined ? [] : ["to", "toPort"]),
    ];
    for (const template of addresses.flatMap(({ host, port }) => [host, port])) {
      const unknown = template.names.find((each) => !open.includes(each));
      if (unknown === undefined) continue;
      const has = open.length === 0 ? "no pattern" : `only ${open.map((each) => `{${each}}`).join(", ")}`;
      const message = `"${template.text}" uses {${unknown}}, but the target has ${has}`;
      ctx.addIssue({ code: "custom", message });
    }
    const fixed = fixedAddresses(addresses);
    if (check !== undefined && fixed.length === 0) {
      const message = value.devices
        ? "is nothing for devices: one is up as long as it holds its tunnel"
        : "needs an address that is known beforehand, and all of this target's come from its pattern";
      ctx.addIssue({ code: "custom", path: ["check"], message });
    }
    return withoutAbsent({
      name,
      names,
      pattern: value.pattern,
      tags,
      terminate: terminate ? true : undefined,
      devices: value.devices ? true : undefined,
      addresses,
      pool: poolOf(value),
      check,
      via: value.via,
      proxyProtocol: value.proxyProtocol === undefined ? undefined : value.proxyProtocol === "v1" ? 1 : 2,
      connectTimeoutMs: value.connectTimeoutSeconds * 1000,
      tls,
      http,
      at,
    });
  });

/** Those of a target's addresses that do not depend on the name that a client says. */
export function fixedAddresses(addresses: Target["addresses"]): HostPort[] {
  return addresses.flatMap(({ host, port }) => {
    if (host.names.length > 0 || port.names.length > 0) return [];
    return [{ host: host.expand({}) ?? "", port: Number(port.expand({})) }];
  });
}

/** Ways in that bring a name. */
export const entryNames = ["version", "tls", "http", "websocket", "host", "address", "jump", "web"] as const;

const match: z.ZodType<SpliceRule["match"]> = z
  .strictObject({
    ...holds.fields,
    entries: z
      .array(z.enum(entryNames))
      .min(1)
      .optional()
      .describe("Ways in for which it holds. Default: all.")
      .meta({ examples: [["version", "tls"]] }),
    to: z
      .array(place)
      .min(1)
      .optional()
      .describe("Addresses and ports of the gateway: one of them must be what the client connected to.")
      .meta({ examples: [["2001:db8:1::/64"]] }),
    clientCertificate: z
      .array(
        z.string().regex(/^!?(?:(?:CN|DNS|email|URI|IP|\*):.+|\*)$/, {
          error:
            'expected a pattern as "CN:ada", "DNS:*.laptops.example.com", "email:*@example.com", "URI:spiffe://…" or "*"',
        }),
      )
      .min(1)
      .optional()
      .describe(
        "A client certificate of `tls.clientAuthorities` is asked for, and one of its names must match: patterns with * and ?, and ! in front to refuse.",
      )
      .meta({ examples: [["CN:ada", "email:*@example.com"]] }),
    user: z
      .string()
      .min(1)
      .optional()
      .describe("The exact name that must be given for `login`.")
      .meta({ examples: ["ada"] }),
    userPattern: pattern.optional().describe("A regular expression over that name."),
  })
  .superRefine(holds.refine)
  .transform(({ notBefore, notAfter, ...rest }) =>
    withoutAbsent({ ...rest, notBeforeMs: notBefore, notAfterMs: notAfter }),
  );

export const spliceRuleSchema: z.ZodType<Omit<SpliceRuleConfig, "place">> = z
  .strictObject({
    name: ruleName,
    mode: z
      .literal("splice")
      .describe(
        "Bytes are passed on unopened: the client's SSH ends at the target, whose own host key it sees.",
      ),
    match: match.prefault({}).describe("Who may: all conditions given must hold."),
    targets: z
      .array(z.string().min(1))
      .min(1)
      .describe("What may be reached: names of targets, tag:NAME, or * for all.")
      .meta({ examples: [["web1", "tag:production"]] }),
    login: z
      .array(kindUnion(authKinds))
      .min(1)
      .optional()
      .describe(
        "How the client proves itself: by password, where the way in can carry one (http, websocket, web), or by oidc in a browser (web). Any one suffices. With it, the rule holds for no other way in.",
      ),
  })
  .superRefine(({ match: { user, userPattern }, login }, ctx) => {
    const refuse = (path: (string | number)[], message: string): void =>
      ctx.addIssue({ code: "custom", path, message });
    if (user !== undefined && userPattern !== undefined)
      refuse(["match", "userPattern"], "stands beside user; give one of the two");
    if (login === undefined && user !== undefined)
      refuse(["match", "user"], "needs login, which the name is given for");
    if (login === undefined && userPattern !== undefined)
      refuse(["match", "userPattern"], "needs login, which the name is given for");
    for (const [at, each] of login?.entries() ?? []) {
      if (each.kind === "oidc") {
        if (each.flow === "device")
          refuse(["login", at, "flow"], "cannot be done on the web: leave it out, or say browser");
      } else if (each.kind !== "password")
        refuse(["login", at, "kind"], "cannot be done over HTTP: give password or oidc");
      else if (each.check === "upstream")
        refuse(["login", at, "check"], "cannot be done here: the target is never logged in to; give hashes");
    }
  })
  .transform(withoutAbsent);

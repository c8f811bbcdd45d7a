import { baseErrors, duration, parseTemplate, path, PosternError, type Template, template } from "#base";
import type { AddressPlan, HostKeyPolicy, UpstreamPlan } from "#contract";
import { type CredentialConfig, credentialKinds } from "#credential";
import * as z from "zod";
import { kindUnion } from "./kind-union.ts";
import { shortName } from "./short-name.ts";
import { withoutAbsent } from "./absent.ts";

/** The upstream of a rule: what the gateway plans with, its credentials not yet made. */
export interface UpstreamConfig extends Omit<UpstreamPlan, "credentials"> {
  readonly credentials: readonly CredentialConfig[];
}

/** SSH's own. */
const defaultPort = "22";

const keyLine = z
  .string()
  .regex(/^[a-z0-9@.-]+ [A-Za-z0-9+/]+=*( .*)?$/, {
    error: "expected a public key on one line: its type, then base64",
  })
  .meta({ "x-form": "public key", examples: ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA…"] });

const sources = {
  knownHosts: z
    .preprocess(
      (value) => (typeof value === "string" ? [value] : value),
      z.array(path({ exists: true })).min(1),
    )
    .optional()
    .describe("One or more files in the form of known_hosts (sshd(8)), read at each connection.")
    .meta({ "x-form": "path, or list of paths", examples: ["/etc/ssh/ssh_known_hosts"] }),
  fingerprints: z
    .array(
      z.string().regex(/^SHA256:[A-Za-z0-9+/]{43}=?$/, {
        error: "expected SHA256: and 43 characters, as `ssh-keygen -lf` prints it",
      }),
    )
    .min(1)
    .optional()
    .describe("Fingerprints of its host key.")
    .meta({ examples: [["SHA256:uNiVztksCsDhcc0u9e8BrNwzT1XtI7XwBhHDBpa0ZtY"]] }),
  keys: z.array(keyLine).min(1).optional().describe("Its host keys themselves."),
  authorities: z
    .array(keyLine)
    .min(1)
    .optional()
    .describe("Host CAs whose certificates are trusted for this upstream."),
  acceptNew: path()
    .optional()
    .describe(
      "A file in the form of known_hosts, made if needed: the first key seen for a host is added, and from then on required.",
    ),
  dangerouslyAcceptAny: z
    .literal(true)
    .optional()
    .describe("No check at all: whoever answers at the address gets the logins. Only for a test."),
} as const;

export const hostKey: z.ZodType<HostKeyPolicy> = z
  .strictObject(sources)
  .superRefine((value, ctx) => {
    const given = Object.keys(sources).filter((name) => value[name as keyof typeof sources] !== undefined);
    const names = Object.keys(sources).filter((name) => name !== "dangerouslyAcceptAny");
    if (given.length === 0)
      ctx.addIssue({
        code: "custom",
        message: `must say how it is checked: give one of ${names.join(", ")}`,
      });
    if (given.length > 1 && value.dangerouslyAcceptAny !== undefined) {
      ctx.addIssue({
        code: "custom",
        path: ["dangerouslyAcceptAny"],
        message: `would make ${given.filter((name) => name !== "dangerouslyAcceptAny").join(", ")} useless; leave one of them out`,
      });
    }
  })
  .transform((value) => withoutAbsent(value))
  .describe(
    "How the upstream's host key is checked. Any source that is given may vouch for it; a key marked as revoked is refused by all.",
  );

const portField = z
  .union([z.int().min(1).max(65_535), z.string().min(1)], {
    error: "expected a port, 1 to 65535, or a {capture}",
  })
  .meta({ "x-form": "port or template", examples: [2222] });

/** As an operator writes where something is. */
interface WrittenAddresses {
  readonly host?: Template | undefined;
  readonly port?: number | string | undefined;
  readonly addresses?: readonly string[] | undefined;
}

/** Where something is. */
export const addressFields: {
  readonly host: z.ZodType<Template | undefined>;
  readonly port: z.ZodType<number | string | undefined>;
  readonly addresses: z.ZodType<readonly string[] | undefined>;
  readonly spread: z.ZodType<"in-order" | "random">;
} = {
  host: template.optional().describe("Host name or address; may use {captures} of the rule's pattern."),
  port: portField
    .optional()
    .describe("Port; may be a {capture}. 22 when absent, or when the capture took no part in the match."),
  addresses: z
    .array(z.string().min(1))
    .min(1)
    .optional()
    .describe("Instead of host and port: several addresses, each host:port or [v6]:port; may use {captures}.")
    .meta({ examples: [["a.example.lan:22", "[2001:db8::1]:22"]] }),
  spread: z
    .enum(["in-order", "random"])
    .default("in-order")
    .describe("Which address comes first. When one cannot be reached, the next is tried."),
};

/** How long connecting may take. */
export const connectTimeoutSeconds: z.ZodType<number> = duration({ min: 0.1, max: 600 })
  .prefault(10)
  .describe("Time to connect to one address, before the next is tried.");

const fields = z.strictObject({
  target: shortName
    .optional()
    .describe(
      "Instead of host and port, or addresses: the name of one of the `targets`, with its pool, its limits and its way. Where that stands for devices, `host` is the device's name and `port` one that it offers.",
    )
    .meta({ examples: ["web1"] }),
  ...addressFields,
  user: template.prefault("{user}").describe("User name at the upstream; may use {captures}."),
  credentials: z
    .array(kindUnion(credentialKinds))
    .min(1)
    .describe("How the gateway logs in there, in order, until one works."),
  hostKey,
  connectTimeoutSeconds,
  dangerouslyAllowSha1: z
    .boolean()
    .default(false)
    .describe("Accept ssh-rsa signatures (SHA-1) from an old upstream that knows nothing else."),
});

/** Of a rule that leads to none. */
export const noUpstream: UpstreamConfig = {
  addresses: [],
  spread: "in-order",
  user: parseTemplate("{user}"),
  credentials: [],
  hostKey: {},
  connectTimeoutMs: 10_000,
};

export const upstreamSchema: z.ZodType<UpstreamConfig> = fields
  .transform((value, ctx): UpstreamConfig => {
    // Whether there must be an address is for the rule to say.
    const { target } = value;
    const placed = value.host !== undefined || value.port !== undefined || value.addresses !== undefined;
    // With a target of devices, the host is the device's name: whether it is one, the whole configuration tells.
    if (target !== undefined && value.addresses !== undefined)
      ctx.addIssue({
        code: "custom",
        path: ["target"],
        message: "give target, or host and port, or addresses",
      });
    const addresses = placed ? addressesOf(value, ctx) : [];
    return {
      ...(target === undefined ? {} : { target }),
      addresses,
      spread: value.spread,
      user: value.user,
      credentials: value.credentials,
      hostKey: value.hostKey,
      connectTimeoutMs: value.connectTimeoutSeconds * 1000,
      dangerouslyAllowSha1: value.dangerouslyAllowSha1,
    };
  })
  .describe("Where the session goes.");

/** What of the rule's own upstream is another for one mount; where it is, goes by the whole. */
export const mountUpstreamSchema: z.ZodType<Partial<UpstreamConfig>> = z
  .strictObject({
    target: fields.shape.target,
    host: addressFields.host,
    port: addressFields.port,
    addresses: addressFields.addresses,
    spread: z.enum(["in-order", "random"]).optional().describe("Which address comes first."),
    user: template.optional().describe("User name there; may use {captures}."),
    credentials: fields.shape.credentials.optional().describe("How the gateway logs in there."),
    hostKey: hostKey.optional().describe("How its host key is checked."),
    connectTimeoutSeconds: duration({ min: 0.1, max: 600 })
      .optional()
      .describe("Time to connect to one address."),
    dangerouslyAllowSha1: fields.shape.dangerouslyAllowSha1
      .unwrap()
      .optional()
      .describe("Accept ssh-rsa signatures (SHA-1)."),
  })
  .transform((value, ctx): Partial<UpstreamConfig> => {
    const { target, host, port, addresses, connectTimeoutSeconds, ...rest } = value;
    const written = host !== undefined || port !== undefined || addresses !== undefined;
    const placed = written ? { addresses: addressesOf(value, ctx) } : {};
    if (target !== undefined && addresses !== undefined)
      ctx.addIssue({
        code: "custom",
        path: ["target"],
        message: "give target, or host and port, or addresses",
      });
    return withoutAbsent({
      ...rest,
      target,
      ...(target === undefined ? placed : { addresses: placed.addresses ?? [] }),
      connectTimeoutMs: connectTimeoutSeconds === undefined ? undefined : connectTimeoutSeconds * 1000,
    });
  })
  .describe(
    "Where it leads, and how the gateway logs in there. What is absent is as in the rule's upstream.",
  );

/** What host and port, or `addresses`, stand for. */
export function addressesOf(value: WrittenAddresses, ctx: z.core.$RefinementCtx): AddressPlan[] {
  const addresses: AddressPlan[] = [];
  const attempt = (at: (string | number)[], make: () => AddressPlan): void => {
    try {
      addresses.push(make());
    } catch (error) {
      if (!(error instanceof PosternError)) throw error;
      ctx.addIssue({ code: "custom", path: at, message: error.detail ?? error.message });
    }
  };
  const { host, port } = value;
  if (host !== undefined && value.addresses === undefined) {
    attempt(["port"], () => ({ host, port: parseTemplate(portText(port)) }));
  } else if (host === undefined && port === undefined && value.addresses !== undefined) {
    for (const [at, text] of value.addresses.entries()) attempt(["addresses", at], () => parseAddress(text));
  } else {
    const message =
      value.addresses === undefined
        ? "is missing: give host, or addresses"
        : "give host and port, or addresses, not both";
    ctx.addIssue({
      code: "custom",
      path: host === undefined && port === undefined ? [] : ["host"],
      message,
    });
  }
  if (addresses.length === 0 && ctx.issues.length === 0) {
    ctx.addIssue({ code: "custom", message: "has no address" });
  }
  return addresses;
}

function portText(port: number | string | undefined): string {
  return port === undefined ? defaultPort : String(port);
}

/** Splits a template of an address: the last colon outside braces and brackets ends the host. */
function parseAddress(text: string): AddressPlan {
  const found = /^(?:\[(?<v6>[^\]]*)\]|(?<name>(?:[^:{}]|\{[^}]*\})+))(?::(?<port>.+))?$/.exec(text);
  const host = found?.groups?.["v6"] ?? found?.groups?.["name"];
  if (host === undefined)
    throw new baseErrors.OPERATOR_ADDRESS_INVALID(`"${text}": write host:port, or "[v6]:port"`);
  return { host: parseTemplate(host), port: parseTemplate(portText(found?.groups?.["port"])) };
}

import { acmeSchema } from "#acme";
import { cidr, duration, type Endpoint, endpoint, path, Pattern, pattern } from "#base";
import type { DevicePort, ListenPlan, TlsPlan } from "#contract";
import { isIPv4 } from "node:net";
import * as z from "zod";
import { withoutAbsent } from "./absent.ts";

/** What can be spoken at one listener. */
const entryNames = ["ssh", "version", "tls", "http", "websocket", "host", "address", "web"] as const;

/** Longer than TCP takes to send again what was lost of a client that speaks first: a second (RFC 6298, section 2.1). */
const defaultSilentSeconds = 1.5;

/** As OpenSSH's `VersionAddendum Host: %n` sends it. */
const defaultComment: Pattern = new Pattern("(?:.* )?Host: *(?<name>[^ ]+)(?: .*)?", "first-used");

const fields = z.strictObject({
  address: endpoint.describe("As in the short form."),
  entries: z
    .array(z.enum(entryNames))
    .min(1)
    .default(["ssh"])
    .describe(
      "What is taken there: ssh (logins at the gateway), version (a target's name in the version line), tls (in SNI), http (CONNECT), websocket (/ssh/NAME), host (HTTP by its Host), address (the target that stands at the address connected to), web (pages of devices and of sign-ins, by their host names).",
    ),
  proxyProtocol: z
    .strictObject({
      from: z
        .array(cidr)
        .min(1)
        .describe(
          "Proxies in front: connections from there must begin with a PROXY header (version 1 or 2).",
        ),
    })
    .optional()
    .describe("Who is believed about the address of a client."),
  silentSeconds: duration({ min: 0, max: 60 })
    .prefault(defaultSilentSeconds)
    .describe("How long a silent client is waited for before the gateway speaks SSH."),
  versionComment: pattern
    .refine((value) => value.names.includes("name"), { error: "must have a group (?<name>…)" })
    .prefault(defaultComment.source)
    .describe("Over the comment of the client's version line; its group `name` is the target."),
  clientCertificate: z
    .enum(["off", "asked", "required"])
    .default("asked")
    .describe(
      "Whether clients whose TLS ends here are asked for a certificate of `tls.clientAuthorities`. required: without one there is no connection.",
    ),
  origins: z
    .array(
      z.string().regex(/^https?:\/\/[^/\s]+$/, { error: "expected an origin as https://shell.example.com" }),
    )
    .default([])
    .describe(
      "Web pages whose scripts may open WebSockets here, by their origin. Programs that are no browsers send none, and need not be listed.",
    ),
});

function planOf(listen: Endpoint, more: Partial<z.output<typeof fields>> = {}): ListenPlan {
  return {
    endpoint: listen,
    entries: more.entries ?? ["ssh"],
    proxyFrom: more.proxyProtocol?.from ?? [],
    silentMs: (more.silentSeconds ?? defaultSilentSeconds) * 1000,
    versionComment: more.versionComment ?? defaultComment,
    clientCertificate: more.clientCertificate ?? "asked",
    origins: more.origins ?? [],
  };
}

/** A listener that is one device's alone. */
export function devicePortPlan(listen: Endpoint, device: DevicePort): ListenPlan {
  return { ...planOf(listen), entries: [], device };
}

/** One listener: an address, or a map that says more. */
export const listenSchema: z.ZodType<ListenPlan> = z
  .union([
    endpoint.transform((value) => planOf(value)),
    fields.transform(({ address, ...more }) => planOf(address, more)),
  ])
  .meta({ "x-form": "address, or map" });

/** TLS that ends at the gateway. */
export const tlsSchema: z.ZodType<TlsPlan> = z
  .strictObject({
    certificates: z
      .array(
        z.strictObject({
          certificate: path({ exists: true }).describe("PEM, with its chain."),
          key: path({ exists: true }).describe("PEM."),
        }),
      )
      .default([])
      .describe(
        "Which one is shown follows from the names in them. They are read again when the files change.",
      )
      .meta({ "x-form": "list: { certificate, key }, paths of PEM files" }),
    gatewayNames: z
      .array(z.string().regex(/^[\w.-]{1,253}$/, { error: "expected a host name" }))
      .default([])
      .describe(
        "Names of the gateway itself: inside their TLS, and that of clients that send no name, is what the listener takes without TLS.",
      ),
    clientAuthorities: path({ exists: true })
      .optional()
      .describe(
        "PEM with the certificates of the authorities that vouch for clients; read again when it changes. Rules ask for what it says in `match.clientCertificate`.",
      ),
    acme: acmeSchema.optional(),
  })
  .transform(withoutAbsent)
  .describe("TLS of listeners that take it.");

/** The keys of the long form, for the documentation. */
export const listenFields: z.ZodType = fields;

/** Every IPv6 address is every IPv4 address too: whoever lists both would be told that the address is in use, and not by whom. */
export function refuseTakenAddresses(listen: readonly ListenPlan[], ctx: z.core.$RefinementCtx): void {
  const all = listen.map(({ endpoint: each }) => each);
  const whole = all.flatMap((each) => (each.kind === "tcp" && each.host === "::" ? [each.port] : []));
  for (const [at, each] of all.entries()) {
    if (each.kind !== "tcp" || each.port === 0 || !isIPv4(each.host) || !whole.includes(each.port)) continue;
    const message = `is part of "[::]:${each.port}", which takes IPv4 as well; leave it out`;
    ctx.addIssue({ code: "custom", path: [at], message });
  }
}

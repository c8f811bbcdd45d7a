import { count, duration } from "#base";
import * as z from "zod";

/** What a device's web server is told for `Host`: the name that the browser said, or another one. */
export interface SiteConfig {
  /** The device's own port, as it offers it by its tunnel. */
  readonly port: number;
  /** `keep`, or a name to say in its place. */
  readonly host: string;
  /** Whether it is spoken to in TLS. */
  readonly tls: boolean;
}

export interface SiteException extends Partial<SiteConfig> {
  /** Names of devices, or tag:NAME. */
  readonly devices: readonly string[];
}

/** How devices' web pages are served. */
export interface WebConfig extends SiteConfig {
  /** Each device's page is at NAME.DOMAIN. Absent: there are only paths. */
  readonly domain?: string;
  /** Each device's page is at HOST/d/NAME/ as well. */
  readonly paths?: { readonly host: string };
  readonly except: readonly SiteException[];
  readonly plain: "redirect" | "serve";
  readonly sessionSeconds: number;
  readonly answerSeconds: number;
  readonly idleSeconds: number;
  readonly maxRequestsPerDevice: number;
}

const hostName =
  /^(?=.{1,253}$)[A-Za-z0-9](?:[\w-]{0,61}[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[\w-]{0,61}[A-Za-z0-9])?)*$/;

const port = count({ min: 1, max: 65_535 });
const host = z.string().regex(/^(?:keep|[\w.-]{1,253}(?::\d{1,5})?|\[[0-9A-Fa-f:.]+\](?::\d{1,5})?)$/, {
  error: "expected keep, or a host as HTTP says it: localhost, panel.lan:8080",
});
const portText = "The port of the device, as it offers it by its tunnel, where its web server listens.";
const tlsText =
  "Whether the device's web server is spoken to in TLS. Its certificate is not looked at: by its tunnel, the device has proven who it is.";
const hostText =
  "What the device's web server is told for Host: `keep` (the name that the browser said), or a name of its own.";

export const webSchema: z.ZodType<WebConfig> = z
  .strictObject({
    domain: z
      .string()
      .regex(hostName, { error: "expected a domain: devices.example.com" })
      .transform((text) => text.toLowerCase())
      .optional()
      .describe(
        "The page of the device kiosk7 is at kiosk7.DOMAIN: needs a wildcard in DNS and in a certificate.",
      )
      .meta({ examples: ["devices.example.com"] }),
    paths: z
      .strictObject({
        host: z
          .string()
          .regex(hostName, { error: "expected a host name: gate.example.com" })
          .transform((text) => text.toLowerCase())
          .describe("The page of the device kiosk7 is at https://HOST/d/kiosk7/.")
          .meta({ examples: ["gate.example.com"] }),
        dangerouslyOneOrigin: z
          .literal(true, {
            error: "must be true: to browsers all devices are one site then, and each can read all others",
          })
          .describe(
            "You know that to browsers all devices are one site then: a page of one can read and do what its visitor may at every other.",
          ),
      })
      .optional()
      .describe(
        "Devices by paths of one host, where DNS can have no wildcard. Hosts by `domain` are better.",
      ),
    port: port.prefault(80).describe(portText),
    host: host.default("keep").describe(hostText),
    tls: z.boolean().default(false).describe(tlsText),
    except: z
      .array(
        z.strictObject({
          devices: z
            .array(z.string().min(1))
            .min(1)
            .describe("Names of devices, or tag:NAME.")
            .meta({ examples: [["kiosk7", "tag:cameras"]] }),
          port: port.optional().describe(portText),
          host: host.optional().describe(hostText),
          tls: z.boolean().optional().describe(tlsText),
        }),
      )
      .default([])
      .describe("Devices for which port, host or tls are others; the first that names the device counts.")
      .meta({ "x-form": "list: { devices, port, host, tls }" }) as unknown as z.ZodType<WebConfig["except"]>,
    plain: z
      .enum(["redirect", "serve"])
      .default("redirect")
      .describe(
        "What is done with HTTP without TLS. redirect: browsers are sent to https. serve: it is served, because a proxy in front has ended TLS.",
      ),
    sessionSeconds: duration({ min: 60, max: 30 * 86_400 })
      .prefault(3600)
      .describe("How long a login at the login page lasts, for the one device that it was made for."),
    answerSeconds: duration({ min: 1, max: 3600 })
      .prefault(60)
      .describe("How long a device may take before it begins to answer."),
    idleSeconds: duration({ min: 1, max: 86_400 })
      .prefault(300)
      .describe("How long nothing may come, in either direction, in the midst of an answer or a WebSocket."),
    maxRequestsPerDevice: count({ min: 1, max: 10_000 })
      .prefault(64)
      .describe("Requests and WebSockets that one device has at once; more are told to try again."),
  })
  .refine(({ domain, paths }) => domain !== undefined || paths !== undefined, {
    error: "needs a domain: devices.example.com",
  })
  .transform(
    ({ domain, paths, ...rest }): WebConfig => ({
      ...rest,
      ...(domain === undefined ? {} : { domain }),
      ...(paths === undefined ? {} : { paths: { host: paths.host } }),
    }),
  )
  .describe("A web address for each device. See [devices-web.md](devices-web.md).");

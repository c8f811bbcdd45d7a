import { cidr, count, duration, type Endpoint, endpoint, path } from "#base";
import type { DevicePort } from "#contract";
import { type AuthorityConfig, authorityFields, checkAuthority } from "#credential";
import { type ApiConfig, apiSchema } from "#admin";
import { type WebConfig, webSchema } from "#http-proxy";
import * as z from "zod";
import { withoutAbsent } from "./absent.ts";
import { shortName } from "./short-name.ts";

/** The authority over devices, and how their tunnels are held. */
export interface DevicesConfig {
  /** Default: devices.sqlite in stateDir. */
  readonly database?: string;
  readonly pending: boolean;
  readonly maxPending: number;
  readonly pendingSeconds: number;
  readonly ports: readonly number[];
  readonly certificateTags: readonly string[];
  readonly certificateHolds: "once" | "always";
  /** Absent: devices are given none. */
  readonly certificates?: DeviceCertificatesConfig;
  readonly sameKey: "newest" | "pool";
  readonly heartbeat: { readonly intervalSeconds: number; readonly maxMissed: number };
  /** Where devices find the gateway. */
  readonly gate: { readonly host: string; readonly port: number };
  /** Absent: no device has a web address. */
  readonly web?: WebConfig;
  /** Absent: the authority is asked on this machine alone. */
  readonly api?: ApiConfig;
  /** Ports of ours that are one device's. */
  readonly tcp: readonly DevicePortConfig[];
}

export interface DeviceCertificatesConfig extends AuthorityConfig {
  readonly validSeconds: number;
}

export interface DevicePortConfig extends DevicePort {
  readonly listen: Endpoint;
}

const ports: z.ZodType<readonly number[]> = z.array(count({ min: 1, max: 65_535 })).min(1);

export const devicesSchema: z.ZodType<DevicesConfig> = z
  .strictObject({
    database: path()
      .optional()
      .describe("What is known of devices, kept by SQLite. Default: devices.sqlite in stateDir."),
    pending: z
      .boolean()
      .default(true)
      .describe(
        "A key that nobody knows may ask: it is shown a code, and an operator decides. Else only tokens and certificates let new devices in.",
      ),
    maxPending: count({ min: 0, max: 100_000 })
      .prefault(1000)
      .describe("Devices that may wait for an operator at once; any stranger can be one."),
    pendingSeconds: duration({ min: 60, max: 365 * 86_400 })
      .prefault(7 * 86_400)
      .describe("How long one waits, before it is forgotten."),
    ports: ports
      .prefault([22])
      .describe("Ports of its own that a device may offer, unless its approval says otherwise.")
      .meta({ examples: [[22, 80]] }),
    certificateTags: z.array(shortName).default([]).describe("Tags of devices that came by a certificate."),
    certificateHolds: z
      .enum(["once", "always"])
      .default("once")
      .describe(
        "Of devices that came by a certificate. once: from then on their key is enough. always: each login needs a certificate that holds.",
      ),
    certificates: z
      .strictObject({
        ...authorityFields,
        validSeconds: duration({ min: 60, max: 30 * 86_400 })
          .prefault(86_400)
          .describe("How long each certificate holds; devices fetch the next one after a third of that."),
      })
      .superRefine(checkAuthority)
      .optional()
      .describe(
        "The CA that gives approved devices certificates with their name, by `ssh device@GATE certificate`, for other gateways and servers that trust it.",
      ),
    sameKey: z
      .enum(["newest", "pool"])
      .default("newest")
      .describe("When one device connects twice: the newest connection takes over, or each has its turn."),
    heartbeat: z
      .strictObject({
        intervalSeconds: duration({ min: 1, max: 3600 })
          .prefault(10)
          .describe(
            "How long a device may be silent before it is asked whether it is there; six times that, and up to fifty times where there are thousands, where the kernel asks (TCP keepalive) and nothing is under way.",
          ),
        maxMissed: count({ min: 1, max: 100 })
          .prefault(2)
          .describe("Unanswered questions after which it is offline."),
      })
      .prefault({})
      .describe("How a device that is gone is noticed."),
    gate: z
      .strictObject({
        host: z.string().min(1).default("GATE").describe("A name that resolves on the devices."),
        port: count({ min: 1, max: 65_535 }).prefault(22).describe("The port there."),
      })
      .prefault({})
      .describe("Where devices find this gateway: for the unit that a new device is given."),
    web: webSchema.optional(),
    api: apiSchema.optional(),
    tcp: z
      .array(
        z.strictObject({
          device: shortName.transform((name) => name.toLowerCase()).describe("Its name."),
          port: count({ min: 1, max: 65_535 }).describe("The port that it offers by its tunnel."),
          listen: endpoint.describe("Where clients connect: an address and port that nothing else has."),
          from: z
            .array(cidr)
            .min(1)
            .describe(
              "Networks that may connect. Nothing else is asked: what they say is the device's to judge.",
            ),
        }),
      )
      .default([])
      .describe("Ports of the gateway that are one device's alone, for what can name no host.")
      .meta({
        "x-form": "list: { device, port, listen, from }",
        examples: [[{ device: "kiosk7", port: 22, listen: ":2207", from: ["10.0.0.0/8"] }]],
      }),
  })
  .transform(withoutAbsent)
  .describe("Machines behind NAT that hold tunnels to this gateway. See [devices.md](devices.md).");

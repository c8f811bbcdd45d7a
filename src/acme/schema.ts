import { count } from "#base";
import type { AcmePlan } from "#contract";
import * as z from "zod";
import { isCertifiable } from "./name.ts";

export const letsEncrypt = "https://acme-v02.api.letsencrypt.org/directory";

export const acmeSchema: z.ZodType<AcmePlan> = z
  .strictObject({
    directory: z
      .url({ protocol: /^https$/, error: "expected the https address of an ACME directory" })
      .default(letsEncrypt)
      .describe("The authority's directory. Default: Let's Encrypt.")
      .meta({ examples: ["https://acme-staging-v02.api.letsencrypt.org/directory"] }),
    agree: z
      .literal(true, {
        error: "must be true: nothing is asked of an authority whose terms are not agreed to",
      })
      .describe("You agree to the authority's terms of service."),
    email: z
      .email()
      .optional()
      .describe("Where the authority writes to, if something is wrong with a certificate."),
    names: z
      .array(
        z
          .string()
          .transform((name) => name.toLowerCase())
          .refine(isCertifiable, { error: "expected a host name: gate.example.com" }),
      )
      .default([])
      .describe(
        "Names that are ordered at once, besides `tls.gatewayNames` and the hosts of `signIn` and `devices.api`. Those of devices with a page are ordered when somebody first goes there.",
      )
      .meta({ examples: [["gate.example.com"]] }),
    ordersPerHour: count({ min: 1, max: 10_000 })
      .prefault(20)
      .describe(
        "Orders in any hour, renewals and those that fail among them. Authorities have limits of their own.",
      ),
    maxNames: count({ min: 1, max: 100_000 })
      .prefault(1000)
      .describe("Names that certificates are held for at once."),
  })
  .transform(({ email, ...plan }) => (email === undefined ? plan : { ...plan, email }))
  .describe(
    "Certificates of an authority that gives them out by itself (ACME). See [devices-web.md](devices-web.md).",
  );

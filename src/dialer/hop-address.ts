import { type HostPort, parseHostPort, PosternError } from "#base";
import * as z from "zod";

/** Where a hop is: `host:port`, with a port that is usual for its kind. */
export function hopAddress(defaultPort: number): z.ZodType<HostPort> {
  return z
    .string()
    .min(1)
    .transform((value, ctx) => {
      try {
        const found = parseHostPort(value, defaultPort);
        if (found.host !== "::" || value.startsWith("[")) return found;
        ctx.addIssue({ code: "custom", message: "needs a host" });
      } catch (error) {
        if (!(error instanceof PosternError)) throw error;
        ctx.addIssue({ code: "custom", message: error.detail ?? error.message });
      }
      return z.NEVER;
    })
    .describe(`Where it is: host:port, or host for port ${defaultPort}.`)
    .meta({ "x-form": "address", examples: [`gate.example.com:${defaultPort}`] });
}

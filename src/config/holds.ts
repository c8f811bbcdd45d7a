import { type Cidr, cidr, instant } from "#base";
import * as z from "zod";

/** Conditions of place and time, which rules of all modes have. */
interface Holds {
  readonly fields: {
    readonly from: z.ZodType<Cidr[] | undefined>;
    readonly notBefore: z.ZodType<number | undefined>;
    readonly notAfter: z.ZodType<number | undefined>;
  };
  readonly refine: (
    value: { readonly notBefore?: number | undefined; readonly notAfter?: number | undefined },
    ctx: z.core.$RefinementCtx,
  ) => void;
}

export const holds: Holds = {
  fields: {
    from: z
      .array(cidr)
      .min(1)
      .optional()
      .describe("Networks that the client must come from. A UNIX socket is in none.")
      .meta({ examples: [["10.0.0.0/8"]] }),
    notBefore: instant.optional().describe("The rule holds from this moment on."),
    notAfter: instant.optional().describe("The rule holds until before this moment."),
  },
  refine({ notBefore, notAfter }, ctx) {
    if (notBefore === undefined || notAfter === undefined || notAfter > notBefore) return;
    ctx.addIssue({
      code: "custom",
      path: ["notAfter"],
      message: "is not after notBefore, so the rule would never hold",
    });
  },
};

import * as z from "zod";

/** A name that stands in logs. */
export const shortName: z.ZodString = z
  .string()
  .regex(/^[\w.-]{1,64}$/, { error: "expected up to 64 letters, digits, dots, dashes or underscores" });

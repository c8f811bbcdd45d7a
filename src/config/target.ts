import { pattern } from "#base";
import type { SpliceRule, Target } from "#contract";
import { z } from "zod";
import { withoutAbsent } from "./absent.ts";
import { holds } from "./holds.ts";
import { ruleName, shortName } from "./rule.ts";
import { addressesOf, addressFields, connectTimeoutSeconds } from "./upstream.ts";

/** A splice rule, and where it stands. */
export interface SpliceRuleConfig extends SpliceRule {
  readonly mode: "splice";
  /** `file:line` */
  readonly place: string;
}

const otherName = z
  .string()
  .regex(/^[\w.:-]{1,253}$/, { error: "expected a name as clients say it: letters, digits, dots, dashes" });

export const targetSchema: z.ZodType<Target> = z
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
    ...addressFields,
    connectTimeoutSeconds,
    tls: z
      .boolean()
      .default(false)
      .describe("It speaks TLS itself: TLS for its name is passed on unopened (entry tls)."),
  })
  .transform((value, ctx): Target => {
    const { name, names, tags, spread, tls } = value;
    const addresses = addressesOf(value, ctx);
    const known = [
      "0",
      ...Array.from({ length: value.pattern?.groupCount ?? 0 }, (_, at) => String(at + 1)),
      ...(value.pattern?.names ?? []),
    ];
    for (const template of addresses.flatMap(({ host, port }) => [host, port])) {
      const unknown = template.names.find((each) => value.pattern === undefined || !known.includes(each));
      if (unknown === undefined) continue;
      const has =
        value.pattern === undefined ? "no pattern" : `only ${known.map((each) => `{${each}}`).join(", ")}`;
      const message = `"${template.text}" uses {${unknown}}, but the target has ${has}`;
      ctx.addIssue({ code: "custom", message });
    }
    return withoutAbsent({
      name,
      names,
      pattern: value.pattern,
      tags,
      addresses,
      spread,
      connectTimeoutMs: value.connectTimeoutSeconds * 1000,
      tls,
    });
  });

/** Ways in that bring a name. */
export const entryNames = ["version", "tls", "http", "jump"] as const;

const match: z.ZodType<SpliceRule["match"]> = z
  .strictObject({
    ...holds.fields,
    entries: z
      .array(z.enum(entryNames))
      .min(1)
      .optional()
      .describe("Ways in for which it holds. Default: all.")
      .meta({ examples: [["version", "tls"]] }),
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
  })
  .transform(withoutAbsent);

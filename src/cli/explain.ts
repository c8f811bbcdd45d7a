import type { ExplainedUser } from "#app";
import { instant, normalAddress } from "#base";
import { Command, InvalidArgumentError } from "commander";
import { isIP } from "node:net";
import { configOption, type ConfigOptions, loadWithWarnings } from "./config-option.ts";
import { type CliContext, say, type Finish } from "./context.ts";
import { exitCodes } from "./exit-codes.ts";
import { examples } from "./examples.ts";

interface ExplainOptions extends ConfigOptions {
  readonly from?: string;
  readonly at?: number;
}

export function explainCommand(context: CliContext, finish: Finish): Command {
  return new Command("explain")
    .summary("say which rule a user name matches, and why")
    .description(
      "Says which rule takes a user name and why, why each rule above it does not, and where the session would go. The name may be given as for ssh: what follows its last @ is the gateway's own name, and takes no part in the choice.",
    )
    .argument("<user[@name]>", "user name, as typed after ssh")
    .addOption(configOption())
    .option("--from <address>", "IP address that the client comes from", parseFrom)
    .option("--at <moment>", "date, or time with its offset; default: now", parseMoment)
    .addHelpText(
      "after",
      examples(
        "postern explain web12",
        "postern explain web12@gate.example.com --from 192.0.2.7 --at 2026-12-31T18:00:00+01:00",
      ),
    )
    .action(async (typed: string, { config: file, from, at }: ExplainOptions) => {
      const config = await loadWithWarnings(file, context);
      const app = await context.app();
      const user = typed.includes("@") ? typed.slice(0, typed.lastIndexOf("@")) : typed;
      const explained = await app.explain(config, { user, from, nowMs: at ?? Date.now() });
      const places = new Map(config.rules.map(({ name, place }) => [name, place]));
      for (const line of linesOf(explained, places)) say(context, line);
      if (explained.upstream === undefined) finish(exitCodes.failed);
    });
}

function linesOf(explained: ExplainedUser, places: ReadonlyMap<string, string>): string[] {
  const width = Math.max(0, ...explained.rules.map(({ rule }) => rule.length));
  const lines = explained.rules.map(({ rule, outcome, reason }) => {
    const mark = { matched: "*", refused: "!", skipped: "-", "not-reached": " " }[outcome];
    return `${mark} ${rule.padEnd(width)}  ${outcome}: ${reason} (${places.get(rule) ?? "?"})`;
  });
  const { upstream } = explained;
  if (upstream === undefined) return [...lines, "Nobody goes anywhere by that name: the login is refused."];
  return [...lines, `The session goes to ${upstream.addresses.join(", then ")} as ${upstream.user}.`];
}

function parseFrom(text: string): string {
  if (isIP(text) === 0) throw new InvalidArgumentError("It is no IP address.");
  return normalAddress(text);
}

function parseMoment(text: string): number {
  const parsed = instant.safeParse(text);
  if (parsed.success) return parsed.data;
  throw new InvalidArgumentError(parsed.error.issues[0]?.message ?? "It is no moment.");
}

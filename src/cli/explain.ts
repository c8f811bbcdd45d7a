import type { App, ExplainedUser } from "#app";
import { formatHostPort, instant, normalAddress, PosternError } from "#base";
import { Command, InvalidArgumentError, Option } from "commander";
import { readFileSync } from "node:fs";
import { isIP } from "node:net";
import { type Certificate, parsePublicKeyLine, type PublicKey } from "#ssh/keys";
import { configOption, type ConfigOptions, loadWithWarnings } from "./config-option.ts";
import { type CliContext, say, type Finish } from "./context.ts";
import { exitCodes } from "./exit-codes.ts";
import { examples } from "./examples.ts";

interface ExplainOptions extends ConfigOptions {
  readonly user?: string;
  readonly certificate?: readonly string[];
  readonly from?: string;
  readonly at?: number;
  readonly key?: PublicKey | Certificate;
  readonly target?: string;
  readonly tags?: readonly string[];
  readonly entry: (typeof entries)[number];
}

/** Ways in by which a client names a target. */
const entries = ["version", "tls", "http", "websocket", "host", "address", "jump", "web"] as const;

export function explainCommand(context: CliContext, finish: Finish): Command {
  return new Command("explain")
    .summary("say which rule a user name matches, and why")
    .description(
      "Says which rule takes a user name and why, why each rule above it does not, and where the session would go. The name may be given as for ssh: what follows its last @ is the gateway's own name, and takes no part in the choice. @NAME asks about a name that comes by another way: a version line, TLS, HTTP CONNECT, a WebSocket, an HTTP Host, an address, a jump, or the web address of a device.",
    )
    .argument("<user[@name]>", "user name, as typed after ssh")
    .addOption(configOption())
    .option("--from <address>", "IP address that the client comes from", parseFrom)
    .option("--key <file>", "public key or certificate that the client shows", readKey)
    .option("--target <name>", "target of mode: terminate by whose name the client came")
    .option("--at <moment>", "date, or time with its offset; default: now", parseMoment)
    .addOption(
      new Option("--entry <entry>", "for @NAME: the way by which it comes")
        .choices(entries)
        .default("version"),
    )
    .option("--user <name>", "for @NAME: who proved it (http, websocket, web)")
    .option("--tags <tags...>", "for @NAME of a device, with --entry web: the device's tags")
    .option("--certificate <names...>", "for @NAME: names in the client certificate, as CN:ada")
    .addHelpText(
      "after",
      examples(
        "postern explain web12",
        "postern explain @web1.gate.example.com --from 192.0.2.7 --entry tls",
        "postern explain @kiosk7 --entry web --user ada --tags hall1",
        "postern explain git@gate.example.com --key ~/.ssh/id_ed25519.pub",
        "postern explain postgres --target db1",
        "postern explain web12@gate.example.com --from 192.0.2.7 --at 2026-12-31T18:00:00+01:00",
      ),
    )
    .action(
      async (
        typed: string,
        { config: file, from, at, key, target, entry, user: shown, certificate, tags }: ExplainOptions,
      ) => {
        const config = await loadWithWarnings(file, context);
        const app = await context.app();
        if (typed.startsWith("@")) {
          const query = { name: typed.slice(1), entry, from, nowMs: at ?? Date.now() };
          const explained = await app.explainName(config, { ...query, user: shown, certificate, tags });
          const places = new Map(config.spliceRules.map(({ name, place }) => [name, place]));
          const lines = entry === "web" ? webLines(explained, places) : targetLines(explained, places);
          for (const line of lines) say(context, line);
          if (!explained.rules.some(({ outcome }) => outcome === "matched")) finish(exitCodes.failed);
          return;
        }
        const user = typed.includes("@") ? typed.slice(0, typed.lastIndexOf("@")) : typed;
        const shows = key === undefined ? {} : { key };
        const query = { user, from, nowMs: at ?? Date.now(), target, ...shows };
        const explained = await app.explain(config, query);
        if (explained.target !== undefined) {
          say(context, noRules[explained.target]);
          finish(exitCodes.failed);
          return;
        }
        const places = new Map(config.rules.map(({ name, place }) => [name, place]));
        for (const line of linesOf(explained, places)) say(context, line);
        if (explained.upstream === undefined && explained.serve === undefined) finish(exitCodes.failed);
      },
    );
}

/** Why no rule is asked about a user of a target. */
const noRules: Readonly<Record<NonNullable<ExplainedUser["target"]>, string>> = {
  unknown: "No target goes by that name.",
  unopened: "SSH for that target passes unopened: the target itself decides who may log in.",
};

type Explained = ExplainedUser["rules"];

function ruleLines(rules: Explained, places: ReadonlyMap<string, string>): string[] {
  const width = Math.max(0, ...rules.map(({ rule }) => rule.length));
  return rules.map(({ rule, outcome, reason }) => {
    const mark = { matched: "*", refused: "!", skipped: "-", "not-reached": " " }[outcome];
    return `${mark} ${rule.padEnd(width)}  ${outcome}: ${reason} (${places.get(rule) ?? "?"})`;
  });
}

function targetLines(
  { target, rules, route }: Awaited<ReturnType<App["explainName"]>>,
  places: ReadonlyMap<string, string>,
): string[] {
  const refused = "Nobody gets anywhere by that name: it is refused, in the same words as any other.";
  if (target === undefined) return ["No target goes by that name.", refused];
  const lines = [`The name stands for the target "${target}".`, ...ruleLines(rules, places)];
  if (route === undefined) return [...lines, refused];
  if (route.mode === "terminate")
    return [
      ...lines,
      route.addresses.length === 0
        ? "It is the gateway itself: the rules for its users decide."
        : `Its SSH ends here, and the rules with match.targets decide: postern explain --target ${target} USER.`,
    ];
  return [
    ...lines,
    `Bytes go unopened to ${route.addresses.map(formatHostPort).join(", then ")}${route.tls ? ", as TLS" : ""}.`,
  ];
}

function webLines(
  { target, rules }: Awaited<ReturnType<App["explainName"]>>,
  places: ReadonlyMap<string, string>,
): string[] {
  if (target === undefined) return ["There are no devices: no target has `devices: true`."];
  const lines = [
    `The name stands for the device "${target}", if it is approved.`,
    ...ruleLines(rules, places),
  ];
  return rules.some(({ outcome }) => outcome === "matched")
    ? [...lines, "Its pages are shown."]
    : [
        ...lines,
        "Its pages are shown to nobody who comes like this; what was approved as public needs no rule.",
      ];
}

function linesOf(explained: ExplainedUser, places: ReadonlyMap<string, string>): string[] {
  const { upstream, serve, mounts, login = [] } = explained;
  const lines = [...ruleLines(explained.rules, places), ...loginLines(login)];
  if (mounts !== undefined)
    return [...lines, "The session ends here: a tree of mounts, for SFTP alone.", ...mounts.map(mountLine)];
  if (serve !== undefined)
    return [...lines, `The session ends here: a jump host, which leads on to ${serve.targets.join(", ")}.`];
  if (upstream === undefined) return [...lines, "Nobody goes anywhere by that name: the login is refused."];
  return [...lines, `The session goes to ${upstream.addresses.join(", then ")} as ${upstream.user}.`];
}

function mountLine({ at, root, user, addresses }: NonNullable<ExplainedUser["mounts"]>[number]): string {
  return `  ${at} is ${root ?? "the home"} at ${addresses.join(", then ")} as ${user}.`;
}

function loginLines(steps: readonly (readonly string[])[]): string[] {
  return steps.length === 0
    ? []
    : [`To log in: ${steps.map((kinds) => kinds.join(" or ")).join(", then ")}.`];
}

function readKey(file: string): PublicKey | Certificate {
  try {
    return parsePublicKeyLine(readFileSync(file, "utf8")).key;
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const reason = error instanceof PosternError ? (error.detail ?? error.message) : error.message;
    throw new InvalidArgumentError(
      `It must be a file of one public key, such as id_ed25519.pub (${reason}).`,
    );
  }
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

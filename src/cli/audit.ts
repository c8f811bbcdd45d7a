import { type AuditFilter, auditLineText, parseAuditLine, passesFilter } from "#audit";
import { instant } from "#base";
import { Command, InvalidArgumentError, Option } from "commander";
import { type FileHandle, open, stat } from "node:fs/promises";
import { StringDecoder } from "node:string_decoder";
import { setTimeout as sleep } from "node:timers/promises";
import { configOption, type ConfigOptions, loadWithWarnings } from "./config-option.ts";
import type { CliContext } from "./context.ts";
import { cliErrors } from "./errors.ts";
import { examples } from "./examples.ts";

interface AuditOptions extends ConfigOptions {
  readonly session?: string;
  readonly user?: string;
  readonly event?: readonly string[];
  readonly refused?: boolean;
  readonly since?: number;
  readonly until?: number;
  readonly follow?: boolean;
  readonly json?: boolean;
}

/** How often a file that is followed is looked at. */
const lookMs = 250;
const chunkBytes = 64 * 1024;

export function auditCommand(context: CliContext): Command {
  return new Command("audit")
    .summary("show and follow the audit")
    .description(
      "Prints the lines of the audit's file that all conditions hold for. The file is that of the configuration, unless one is named; - is stdin.",
    )
    .argument("[file]", "file with JSON lines")
    .addOption(configOption())
    .option("--session <id>", "of one session")
    .option("--user <name>", "of one user name")
    .option("--event <name...>", "of these events")
    .option("--refused", "only what was refused or failed")
    .addOption(
      new Option("--since <moment>", "from a date or a time with its offset on").argParser(parseMoment),
    )
    .addOption(new Option("--until <moment>", "until before a moment").argParser(parseMoment))
    .option("-f, --follow", "go on with what is added, also after a rotation")
    .option("--json", "print the lines as they are")
    .addHelpText(
      "after",
      examples(
        "postern audit --user web12 --since 2026-12-01",
        "postern audit --session 4kq0dz7m2x --json",
        "postern audit --refused --follow",
      ),
    )
    .action(async (named: string | undefined, options: AuditOptions) => {
      const file = named ?? (await configuredFile(options.config, context));
      const filter: AuditFilter = {
        session: options.session,
        user: options.user,
        events: options.event,
        refused: options.refused,
        sinceMs: options.since,
        untilMs: options.until,
      };
      const print = printer(context, filter, options.json === true);
      if (file === "-") for await (const chunk of context.stdin) await print(chunk as Buffer);
      else await readFileOn(file, print, options.follow === true, context);
    });
}

async function configuredFile(configFile: string, context: CliContext): Promise<string> {
  const { audit } = await loadWithWarnings(configFile, context);
  for (const each of audit) if (each.kind === "jsonl") return each.file;
  throw new cliErrors.OPERATOR_COMMAND_FAILED(`${configFile} has no audit of kind jsonl: name a file.`);
}

type Print = (bytes: Buffer) => Promise<void>;

/** Takes a file piece by piece, and writes whole lines, no faster than they are read. */
function printer({ stdout }: CliContext, filter: AuditFilter, json: boolean): Print {
  const decoder = new StringDecoder("utf8");
  let rest = "";
  return async (bytes) => {
    const lines = (rest + decoder.write(bytes)).split("\n");
    rest = lines.pop() ?? "";
    let text = "";
    for (const line of lines) {
      const record = parseAuditLine(line);
      if (record !== undefined && passesFilter(record, filter))
        text += `${json ? line : auditLineText(record)}\n`;
    }
    if (text !== "" && !stdout.write(text))
      await new Promise<void>((resolve) => stdout.once("drain", resolve));
  };
}

async function readFileOn(
  file: string,
  print: Print,
  follow: boolean,
  { stdout }: CliContext,
): Promise<void> {
  let over = false;
  stdout.once("close", () => (over = true));
  for (;;) {
    await using handle = await open(file).catch((cause: Error) => {
      throw new cliErrors.OPERATOR_COMMAND_FAILED(`${file} cannot be read: ${cause.message}.`, { cause });
    });
    const { ino } = await handle.stat();
    await readOn(handle, print);
    for (;;) {
      if (!follow || over) return;
      await sleep(lookMs);
      const now = await stat(file).catch(() => undefined);
      await readOn(handle, print);
      // A new file has taken its name.
      if (now !== undefined && now.ino !== ino) break;
    }
  }
}

async function readOn(handle: FileHandle, print: Print): Promise<void> {
  const buffer = Buffer.alloc(chunkBytes);
  for (;;) {
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, null);
    if (bytesRead === 0) return;
    await print(buffer.subarray(0, bytesRead));
  }
}

function parseMoment(text: string): number {
  const parsed = instant.safeParse(text);
  if (parsed.success) return parsed.data;
  throw new InvalidArgumentError(parsed.error.issues[0]?.message ?? "It is no moment.");
}

import { hashPassword } from "#auth";
import { endpoint } from "#base";
import { formatProblem } from "#config";
import { type Imported, type ImportOptions, ImportInvalid, importPysshrp, importSshpiper } from "#import";
import { Command, InvalidArgumentError } from "commander";
import { lstat, mkdir, rm } from "node:fs/promises";
import { dirname, isAbsolute, join, relative, resolve } from "node:path";
import { complain, type CliContext, type Finish } from "./context.ts";
import { cliErrors } from "./errors.ts";
import { examples } from "./examples.ts";
import { exitCodes } from "./exit-codes.ts";
import { writeNew } from "./write-new.ts";

interface ResultOptions {
  readonly output?: string;
  readonly force?: boolean;
  readonly partial?: boolean;
  readonly stateDir?: string;
}

interface SshpiperResultOptions extends ResultOptions {
  readonly listen: string;
  readonly hostKey?: string;
}

export function importCommand(context: CliContext, finish: Finish): Command {
  return new Command("import")
    .summary("write the configuration of another gateway as ours")
    .description(
      "Reads the configuration of another gateway, without running it, and writes one for Postern with the same meaning. What cannot be kept is never left out in silence: the rule is written disabled, with the reason above it.",
    )
    .addCommand(pysshrpCommand(context, finish))
    .addCommand(sshpiperCommand(context, finish));
}

/** The options that all imports have. */
function withResultOptions(command: Command): Command {
  return command
    .option(
      "-o, --output <file>",
      "where the result goes, and passwords beside it in secrets/; default: stdout",
    )
    .option("-f, --force", "replace what is there")
    .option("--partial", "write rules that can do less than before, rather than disable them")
    .option(
      "--state-dir <folder>",
      "stateDir of the result, from where you are; default: state, beside the result",
    );
}

function pysshrpCommand(context: CliContext, finish: Finish): Command {
  return withResultOptions(new Command("pysshrp"))
    .summary("import a configuration of pysshrp")
    .description(
      "Reads a configuration of pysshrp: assignments of Python's literals, and execfile. Nothing in it is run. See docs/migrate-from-pysshrp.md.",
    )
    .argument("<file>", "pysshrp's configuration")
    .addHelpText(
      "after",
      examples(
        "postern import pysshrp /etc/pysshrp/config.py",
        "postern import pysshrp /etc/pysshrp/config.py -o /etc/postern/postern.yaml --state-dir /var/lib/postern",
      ),
    )
    .action(async (file: string, options: ResultOptions) => {
      await carryOut((common) => importPysshrp(file, common), options, context, finish);
    });
}

function sshpiperCommand(context: CliContext, finish: Finish): Command {
  return withResultOptions(new Command("sshpiper"))
    .summary("import a file of sshpiper's yaml plugin")
    .description("Reads a file of sshpiper's yaml plugin. See docs/migrate-from-sshpiper.md.")
    .option("--listen <address>", "where the gateway is to listen", checkListen, "0.0.0.0:2222")
    .option("--host-key <file>", "the private key of sshpiperd's --server-key, which clients know")
    .argument("<file>", "the yaml plugin's file")
    .addHelpText(
      "after",
      examples(
        "postern import sshpiper /etc/sshpiper/sshpiperd.yaml",
        "postern import sshpiper sshpiperd.yaml -o postern.yaml --host-key /etc/ssh/ssh_host_ed25519_key",
      ),
    )
    .action(async (file: string, options: SshpiperResultOptions) => {
      const { listen, hostKey } = options;
      await carryOut(
        (common) => importSshpiper(file, { ...common, listen, hostKey }),
        options,
        context,
        finish,
      );
    });
}

function checkListen(text: string): string {
  const { error } = endpoint.safeParse(text);
  if (error === undefined) return text;
  throw new InvalidArgumentError(error.issues[0]?.message ?? "It is no address.");
}

async function carryOut(
  read: (options: ImportOptions) => Promise<Imported>,
  options: ResultOptions,
  context: CliContext,
  finish: Finish,
): Promise<void> {
  const { output, force = false, partial = false } = options;
  const stateDir = placedState(options);
  let imported: Imported;
  try {
    imported = await read({ hash: hashPassword, stateDir, besides: output !== undefined, partial });
  } catch (error) {
    if (!(error instanceof ImportInvalid)) throw error;
    for (const problem of error.problems) complain(context, formatProblem(problem));
    finish(exitCodes.failed);
    return;
  }
  if (output === undefined) context.stdout.write(imported.text);
  else await writeAll(output, imported, force);
  for (const warning of imported.warnings) complain(context, formatProblem(warning));
  const { rules, disabled } = imported;
  const count = `${rules} ${rules === 1 ? "rule" : "rules"}`;
  const off = disabled === 0 ? "" : `, ${disabled} of them disabled`;
  const next = output === undefined ? "" : `; look through it, then: postern check -c ${output}`;
  complain(context, `${output ?? "stdout"}: ${count}${off}${next}`);
  if (!imported.complete) finish(exitCodes.partial);
}

/** In a file, a relative path counts from that file's folder; at a command line, from where its user is. */
function placedState({ stateDir, output }: ResultOptions): string {
  if (stateDir === undefined) return "state";
  const typed = resolve(stateDir);
  if (isAbsolute(stateDir) || output === undefined) return typed;
  const beside = relative(dirname(resolve(output)), typed);
  return beside === "" || beside.startsWith("..") ? typed : beside;
}

/** The result last: it names the others. What cannot be finished is taken away again. */
async function writeAll(output: string, { text, files }: Imported, force: boolean): Promise<void> {
  const folder = dirname(output);
  const all = [
    ...files.map(({ path, content, mode }) => ({ path: join(folder, path), content, mode })),
    // It holds hashes of passwords.
    { path: output, content: text, mode: 0o600 },
  ];
  const there = force ? undefined : await firstThere(all.map(({ path }) => path));
  if (there !== undefined)
    throw new cliErrors.OPERATOR_COMMAND_FAILED(`${there} is there already; --force replaces it`);
  await mkdir(folder, { recursive: true });
  const written: string[] = [];
  try {
    for (const { path, content, mode } of all) {
      await mkdir(dirname(path), { recursive: true, mode: 0o700 });
      await writeNew(path, content, mode, force);
      written.push(path);
    }
  } catch (error) {
    for (const path of written) await rm(path, { force: true });
    throw error;
  }
}

async function firstThere(paths: readonly string[]): Promise<string | undefined> {
  for (const path of paths) {
    const found = await lstat(path).catch(() => undefined);
    if (found !== undefined) return path;
  }
  return undefined;
}

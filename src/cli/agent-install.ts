import { Command } from "commander";
import { mkdir, readFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { agentFileOption, loadAgentFile } from "./agent-file.ts";
import { type CliContext, say } from "./context.ts";
import { cliErrors } from "./errors.ts";
import { examples } from "./examples.ts";
import { writeNew } from "./write-new.ts";

interface InstallCommandOptions {
  readonly config: string;
  readonly program: string;
  readonly user: string;
  readonly root: string;
  readonly dryRun?: boolean;
  readonly force?: boolean;
}

export function installCommand(context: CliContext): Command {
  return new Command("install")
    .summary("write the unit that starts the agent")
    .description(
      "Writes a unit for systemd, an account for it, and the rule of polkit by which it may restart the units of the file; says what it wrote, and the lines to run next. It runs nothing itself.",
    )
    .addOption(agentFileOption())
    .option("--program <path>", "where this program is on the device", "/usr/local/bin/postern")
    .option(
      "--user <name>",
      'account that it runs as; "root" if the update command needs it',
      "postern-agent",
    )
    .option("--root <folder>", "write below this folder, as for an image", "/")
    .option("--dry-run", "print what would be written, and write nothing")
    .option("-f, --force", "replace what is there")
    .addHelpText(
      "after",
      examples("postern agent install --dry-run", "postern agent install -c /etc/postern/agent.yaml"),
    )
    .action(async (options: InstallCommandOptions) => {
      await install(options, context);
    });
}

async function install(options: InstallCommandOptions, context: CliContext): Promise<void> {
  const { user, program } = options;
  if (!/^[a-z_][a-z0-9_-]{0,30}$/.test(user))
    throw new cliErrors.OPERATOR_COMMAND_FAILED(`"${user.slice(0, 100)}" is no account's name.`);
  const { installPlan, isOneLine } = await import("#device-agent");
  if (!program.startsWith("/") || !isOneLine(program + options.config))
    throw new cliErrors.OPERATOR_COMMAND_FAILED(
      `--program ${program.slice(0, 200)}: write the whole path, on one line.`,
    );
  const config = await loadAgentFile(options.config, context);
  const configFile = resolve(options.config);
  const files = installPlan(config, { configFile, program, user });
  for (const { path, text } of files) {
    const place = join(options.root, path);
    if (options.dryRun === true) {
      say(context, `# would write ${place}:\n${text}`);
      continue;
    }
    const found = await readFile(place, "utf8").catch(() => undefined);
    if (found === text) {
      say(context, `${place} is there already`);
      continue;
    }
    await mkdir(dirname(place), { recursive: true });
    await writeNew(place, text, 0o644, options.force === true);
    say(context, `wrote ${place}`);
  }
  say(context, `${options.dryRun === true ? "# then" : "now"} run:`);
  const account = user === "root" ? [] : ["systemd-sysusers", `chgrp ${user} ${configFile}`];
  const lines = [
    ...account,
    `chmod 640 ${configFile}`,
    "systemctl daemon-reload",
    "systemctl enable --now postern-agent",
  ];
  for (const line of lines) say(context, `  ${line}`);
}

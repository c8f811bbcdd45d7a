import { openApiText } from "#admin";
import { auditJsonSchema, auditPage } from "#audit";
import { webhookJsonSchema } from "#auth";
import { definedErrors } from "#base";
import { configJsonSchema, configPage, errorsPage, limitsPage } from "#config";
import { Command } from "commander";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { cliPage } from "./cli-page.ts";
import { complain, type CliContext, say, type Finish } from "./context.ts";
import { exitCodes } from "./exit-codes.ts";
import { examples } from "./examples.ts";

/** The generated files by their names in docs/. Errors are those of all rooms that are loaded. */
export function pagesOf(program: Command): ReadonlyMap<string, string> {
  return new Map([
    ["config.md", configPage()],
    ["config.schema.json", configJsonSchema()],
    ["limits.md", limitsPage()],
    ["errors.md", errorsPage(definedErrors())],
    ["cli.md", cliPage(program)],
    ["audit.md", auditPage()],
    ["audit.schema.json", auditJsonSchema()],
    ["webhook.schema.json", webhookJsonSchema()],
    ["device-api.openapi.json", openApiText()],
  ]);
}

export function docsCommand(context: CliContext, finish: Finish, program: () => Command): Command {
  return new Command("docs")
    .summary("write the generated pages of the documentation")
    .description("Writes the pages of the documentation that are made from the source.")
    .argument("[folder]", "where they go", "docs")
    .option("--check", "write nothing; fail if a page is not up to date")
    .addHelpText("after", examples("postern docs", "postern docs --check"))
    .action(async (folder: string, options: { readonly check?: boolean }) => {
      // All rooms stand below the app: their errors are known once it is loaded.
      await context.app();
      await import("#client");
      await import("#device-agent");
      const stale: string[] = [];
      for (const [name, text] of pagesOf(program())) {
        const file = join(folder, name);
        if ((await readFile(file, "utf8").catch(() => "")) === text) continue;
        stale.push(file);
        if (options.check === true) continue;
        await mkdir(folder, { recursive: true });
        await writeFile(file, text);
        say(context, `${file} written`);
      }
      if (options.check !== true || stale.length === 0) return;
      for (const file of stale) complain(context, `${file} is not up to date; write it with: npm run docs`);
      finish(exitCodes.failed);
    });
}

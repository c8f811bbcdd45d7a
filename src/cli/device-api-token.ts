import { apiScopes, type ApiScope, apiTokenHash, newApiToken } from "#admin";
import { Command, InvalidArgumentError, Option } from "commander";
import { type CliContext, complain, say } from "./context.ts";
import { examples } from "./examples.ts";

interface ApiTokenOptions {
  readonly scope?: readonly ApiScope[];
  readonly json?: boolean;
}

/** Writes nothing: who may use the API stands in the configuration, which is the operator's. */
export function apiTokenCommand(context: CliContext): Command {
  return new Command("api-token")
    .summary("make a token for the HTTP API, and the line of the configuration for it")
    .description(
      "Makes a token for the devices' HTTP API. The token is printed on stdout and is kept nowhere; the line for devices.api.tokens, which holds its hash alone, is printed on stderr. Nothing holds before that line is in the configuration and `postern reload` has been run.",
    )
    .argument("<name>", "who will use it: the audit says api:NAME", nameOf)
    .addOption(
      new Option(
        "-s, --scope <scope>",
        `${apiScopes.join(", ")}; may be given again; default: read`,
      ).argParser(scopesOf),
    )
    .option("--json", "print both as JSON on stdout: token, and entry for the configuration")
    .addHelpText(
      "after",
      examples(
        "postern device api-token dashboard",
        "postern device api-token console -s read -s decide > /etc/console/postern-token",
      ),
    )
    .action((name: string, { scope = ["read"], json }: ApiTokenOptions) => {
      const token = newApiToken();
      const hash = apiTokenHash(token);
      if (json === true) {
        say(context, JSON.stringify({ token, entry: { name, hash, scopes: scope } }, undefined, 2));
        return;
      }
      say(context, token);
      complain(context, `- { name: ${name}, hash: "${hash}", scopes: [${scope.join(", ")}] }`);
    });
}

function nameOf(value: string): string {
  if (!/^[\w.-]{1,64}$/.test(value))
    throw new InvalidArgumentError("expected up to 64 letters, digits, dots, dashes or underscores");
  return value;
}

function scopesOf(value: string, before: readonly ApiScope[] | undefined): readonly ApiScope[] {
  const scope = apiScopes.find((each) => each === value);
  if (scope === undefined) throw new InvalidArgumentError(`expected one of ${apiScopes.join(", ")}`);
  return [...new Set([...(before ?? []), scope])];
}

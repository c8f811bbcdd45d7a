import { createInterface } from "node:readline";
import { Writable } from "node:stream";
import type { CliContext } from "./context.ts";
import { cliErrors, Interrupted } from "./errors.ts";

/** Longer than any password that SSH servers take. */
const maxSecretBytes = 4096;

/**
 * A password from the terminal, without echo, asked for twice when `twice` is set; or the first line of stdin, if that is no
 * terminal. Throws Interrupted, and OPERATOR_COMMAND_FAILED for an empty one or two that differ.
 */
export async function askSecret(context: CliContext, what: string, twice: boolean): Promise<string> {
  if (context.stdin.isTTY !== true) return notEmpty(await firstLine(context.stdin), what);
  const secret = notEmpty(await askOnce(context, `${what}: `), what);
  if (twice && (await askOnce(context, `${what} again: `)) !== secret) {
    throw new cliErrors.OPERATOR_COMMAND_FAILED("the two were not the same");
  }
  return secret;
}

/** One line from a terminal without echo. Throws Interrupted. */
export async function askOnce(
  context: Pick<CliContext, "stdin" | "stderr">,
  question: string,
): Promise<string> {
  // What readline echoes goes nowhere; it still does the editing of the line.
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const terminal = createInterface({ input: context.stdin, output: nowhere, terminal: true, historySize: 0 });
  try {
    return await new Promise<string>((resolve, reject) => {
      terminal.once("SIGINT", () => reject(new Interrupted()));
      terminal.once("close", () => reject(new Interrupted()));
      terminal.once("line", resolve);
      // Asked only now: before, the terminal itself would echo what is typed at once.
      context.stderr.write(question);
    });
  } finally {
    terminal.close();
    context.stderr.write("\n");
  }
}

async function firstLine(stdin: CliContext["stdin"]): Promise<string> {
  let text = "";
  for await (const chunk of stdin) {
    text += String(chunk);
    if (text.includes("\n") || Buffer.byteLength(text) > maxSecretBytes) break;
  }
  const [line = ""] = text.split(/\r?\n/, 1);
  if (Buffer.byteLength(line) <= maxSecretBytes) return line;
  throw new cliErrors.OPERATOR_COMMAND_FAILED(`the line is longer than ${maxSecretBytes} bytes`);
}

function notEmpty(secret: string, what: string): string {
  if (secret !== "") return secret;
  throw new cliErrors.OPERATOR_COMMAND_FAILED(`the ${what.toLowerCase()} is empty`);
}

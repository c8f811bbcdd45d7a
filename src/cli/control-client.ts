import { readControlPath } from "#config";
import { type Command, Option } from "commander";
import { connect } from "node:net";
import { configOption } from "./config-option.ts";
import type { CliContext } from "./context.ts";
import { cliErrors } from "./errors.ts";

/** What a running gateway can be asked, one line of JSON each way. */
export type ControlRequest =
  | { readonly command: "reload" }
  | { readonly command: "status" }
  | { readonly command: "tunnels" }
  | {
      readonly command: "drain";
      readonly target: string;
      readonly address: string;
      readonly undo: boolean;
    }
  | { readonly command: "log-level"; readonly level: string };

export interface ControlAnswer {
  readonly ok: boolean;
  /** For people. */
  readonly text: string;
  /** Everything the gateway sent. */
  readonly whole: unknown;
}

export interface ControlOptions {
  readonly config: string;
  readonly control?: string;
}

/** A reload waits for keys to be opened and listeners to be made; nothing takes longer. */
const patienceMs = 120_000;
const maxAnswerBytes = 16 * 1024 * 1024;

export function withControlOptions(command: Command): Command {
  return command
    .addOption(configOption())
    .addOption(
      new Option("--control <socket>", "control socket, instead of the one that the configuration names"),
    );
}

/** Asks the running gateway. Throws OPERATOR_CONTROL_UNREACHABLE, and OPERATOR_CONTROL_REFUSED when it says no. */
export async function askGateway(
  request: ControlRequest,
  options: ControlOptions,
  context: CliContext,
): Promise<ControlAnswer> {
  const path =
    options.control ?? (await readControlPath(options.config, { environment: context.environment }));
  const answer = parseAnswer(await exchange(path, `${JSON.stringify(request)}\n`));
  if (!answer.ok) throw new cliErrors.OPERATOR_CONTROL_REFUSED(answer.text);
  return answer;
}

async function exchange(path: string, line: string): Promise<string> {
  return await new Promise((resolve, reject) => {
    const socket = connect(path);
    const chunks: Buffer[] = [];
    let bytes = 0;
    const fail = (detail: string, cause?: unknown): void => {
      socket.destroy();
      reject(new cliErrors.OPERATOR_CONTROL_UNREACHABLE(detail, { cause }));
    };
    socket.setTimeout(patienceMs, () => fail(`the gateway does not answer on ${path}`));
    socket.once("error", (error: NodeJS.ErrnoException) => fail(reasonOf(path, error), error));
    socket.once("connect", () => socket.write(line));
    socket.on("data", (chunk: Buffer) => {
      chunks.push(chunk);
      bytes += chunk.length;
      if (bytes > maxAnswerBytes) fail(`the answer on ${path} does not end`);
      if (!chunk.includes(0x0a)) return;
      socket.destroy();
      resolve(Buffer.concat(chunks).toString("utf8"));
    });
    socket.once("end", () => fail(`the gateway ended the conversation on ${path} without an answer`));
  });
}

function reasonOf(path: string, error: NodeJS.ErrnoException): string {
  switch (error.code) {
    case "ENOENT":
      return `no gateway is running with the control socket ${path}; name another with --control or -c`;
    case "ECONNREFUSED":
      return `no gateway is running: the control socket ${path} was left behind`;
    case "EACCES":
    case "EPERM":
      return `you may not use the control socket ${path}`;
    default:
      return `${path}: ${error.message}`;
  }
}

function parseAnswer(line: string): ControlAnswer {
  try {
    const whole: unknown = JSON.parse(line);
    if (typeof whole === "object" && whole !== null && "ok" in whole) {
      const text = "text" in whole && typeof whole.text === "string" ? whole.text : "";
      return { ok: whole.ok === true, text, whole };
    }
  } catch {
    // What answers there is something else.
  }
  throw new cliErrors.OPERATOR_CONTROL_UNREACHABLE("what answers on the control socket is no gateway");
}

import type { Questions } from "#client";
import { spawn } from "node:child_process";
import { openSync } from "node:fs";
import { createInterface } from "node:readline";
import { ReadStream, WriteStream } from "node:tty";
import { askOnce } from "./ask-secret.ts";
import type { CliContext, Environment } from "./context.ts";
import { Interrupted } from "./errors.ts";

/** A terminal to ask on, whatever stdin and stdout are joined to. */
interface Terminal extends Disposable {
  readonly stdin: ReadStream;
  readonly stderr: WriteStream;
}

/** Longer than any answer. */
const maxAnswerBytes = 4096;

/**
 * Whom to ask: a program named by SSH_ASKPASS, as ssh(1) does where there is no terminal (SSH_ASKPASS_REQUIRE: `force`, `prefer`,
 * `never`), else the terminal of the process. Undefined where there is neither.
 */
export function questionsOf({ environment }: CliContext, printable: Printable): Questions | undefined {
  const askpass = environment["SSH_ASKPASS"] || undefined;
  const require = environment["SSH_ASKPASS_REQUIRE"] ?? "";
  const wanted = require === "force" || require === "prefer";
  const graphical = environment["DISPLAY"] !== undefined || environment["WAYLAND_DISPLAY"] !== undefined;
  const mayAskpass = askpass !== undefined && require !== "never" && (graphical || require !== "");
  const ask: Ask = (text, kind) => runAskpass(askpass ?? "", text, kind, environment);
  if (mayAskpass && wanted) return new Asking(ask, printable);
  using terminal = openTerminal();
  if (terminal !== undefined) return new Asking(askOnTerminal, printable);
  if (mayAskpass) return new Asking(ask, printable);
  return undefined;
}

type Kind = "secret" | "text" | "confirm";
/** What a server says must not move the cursor. */
type Printable = (text: string) => string;
type Ask = (text: string, kind: Kind) => Promise<string | undefined>;

class Asking implements Questions {
  readonly #ask: Ask;
  readonly #printable: Printable;

  constructor(ask: Ask, printable: Printable) {
    this.#ask = ask;
    this.#printable = printable;
  }

  async hostKey({ host, type, fingerprint }: Parameters<Questions["hostKey"]>[0]): Promise<boolean> {
    const question = `The host ${host} is not known. Its ${type} key is\n${fingerprint}\nIs that right, and shall it be kept? (yes, no, or the fingerprint) `;
    for (let tries = 0; tries < 3; tries++) {
      const answer = (await this.#ask(question, "confirm"))?.trim().toLowerCase();
      if (answer === "yes" || answer === fingerprint.toLowerCase()) return true;
      if (answer === undefined || answer === "no" || answer === "") return false;
    }
    return false;
  }

  async password(where: string, again: boolean): Promise<string | undefined> {
    return await this.#ask(`${again ? "That was not right. " : ""}Password of ${where}: `, "secret");
  }

  async newPassword(prompt: string): Promise<string | undefined> {
    const fresh = await this.#ask(`${this.#printable(prompt)}\nNew password: `, "secret");
    const again = await this.#ask("New password again: ", "secret");
    return fresh === again ? fresh : undefined;
  }

  async passphrase(file: string, wrong: boolean): Promise<string | undefined> {
    const answer = await this.#ask(`${wrong ? "That was not right. " : ""}Passphrase of ${file}: `, "secret");
    return answer === "" ? undefined : answer;
  }

  async prompts(
    where: string,
    request: Parameters<Questions["prompts"]>[1],
  ): Promise<readonly string[] | undefined> {
    const answers: string[] = [];
    // The server's words could be taken for our own: it is said whose they are.
    const intro = [request.name, request.instruction].map(this.#printable).filter((text) => text !== "");
    for (const [index, { text, echo }] of request.prompts.entries()) {
      const before = index === 0 && intro.length > 0 ? `${intro.join("\n")}\n` : "";
      const answer = await this.#ask(
        `${before}(${where}) ${this.#printable(text)} `,
        echo ? "text" : "secret",
      );
      if (answer === undefined) return undefined;
      answers.push(answer);
    }
    return answers;
  }
}

function openTerminal(): Terminal | undefined {
  try {
    const stdin = new ReadStream(openSync("/dev/tty", "r"));
    const stderr = new WriteStream(openSync("/dev/tty", "w"));
    return {
      stdin,
      stderr,
      [Symbol.dispose]: () => {
        stdin.destroy();
        stderr.destroy();
      },
    };
  } catch {
    return undefined;
  }
}

async function askOnTerminal(text: string, kind: Kind): Promise<string | undefined> {
  using terminal = openTerminal();
  if (terminal === undefined) return undefined;
  if (kind === "secret") return await askOnce(terminal, text);
  const line = createInterface({
    input: terminal.stdin,
    output: terminal.stderr,
    terminal: true,
    historySize: 0,
  });
  try {
    return await new Promise<string>((resolve, reject) => {
      line.once("SIGINT", () => reject(new Interrupted()));
      line.once("close", () => reject(new Interrupted()));
      line.question(text, resolve);
    });
  } finally {
    line.close();
  }
}

/** One line of its output; undefined when it was called off. */
async function runAskpass(
  program: string,
  text: string,
  kind: Kind,
  environment: Environment,
): Promise<string | undefined> {
  const env = { ...environment, ...(kind === "confirm" ? { SSH_ASKPASS_PROMPT: "" } : {}) };
  const child = spawn(program, [text], { stdio: ["ignore", "pipe", "inherit"], env });
  let answer = "";
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    if (answer.length <= maxAnswerBytes) answer += chunk;
  });
  const code = await new Promise<number | null>((resolve) => {
    child.once("error", () => resolve(null));
    child.once("close", resolve);
  });
  return code === 0 ? (answer.split(/\r?\n/, 1)[0] ?? "") : undefined;
}

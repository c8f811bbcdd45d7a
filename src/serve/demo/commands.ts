import type { Clock } from "#base";

/** What a command of the toy shell may use: no process, no file, no socket. */
export interface CommandContext {
  readonly user: string;
  readonly environment: ReadonlyMap<string, string>;
  /** Of the terminal, if there is one. */
  readonly size: { readonly columns: number; readonly rows: number } | undefined;
  readonly clock: Clock;
  /** Aborted by Ctrl-C, by a signal, or when the client is gone. */
  readonly signal: AbortSignal;
  /** Each resolves when there is room for more. */
  readonly out: (data: string | Uint8Array) => Promise<void>;
  readonly error: (data: string | Uint8Array) => Promise<void>;
  /** Standard input up to its end. */
  readonly input: () => AsyncIterable<Uint8Array>;
}

interface Command {
  readonly usage: string;
  readonly summary: string;
  /** Returns the exit status. */
  readonly run: (words: readonly string[], context: CommandContext) => Promise<number> | number;
}

/** How a line ended: its status, and whether the shell is to end too. */
export interface LineResult {
  readonly status: number;
  readonly exit: boolean;
}

const statusUsage = 2;
const statusNotFound = 127;
/** 128 and the number of SIGINT, as shells have it. */
export const statusInterrupted = 130;

/** Milliseconds that `sleep` takes at most. */
const maxSleepMs = 3_600_000;
/** Bytes that `zeros` writes at a time. */
const zerosChunkBytes = 32 * 1024;

const commands: ReadonlyMap<string, Command> = new Map<string, Command>([
  [
    "help",
    {
      usage: "help",
      summary: "this list",
      run: async (_words, { out }) => {
        const rows = [...commands.values()].map(({ usage, summary }) => `  ${usage.padEnd(12)}${summary}\n`);
        await out(`This is a toy: it has no files and starts no programs. It knows:\n${rows.join("")}`);
        return 0;
      },
    },
  ],
  [
    "whoami",
    {
      usage: "whoami",
      summary: "the user that logged in here",
      run: async (_words, { out, user }) => {
        await out(`${user}\n`);
        return 0;
      },
    },
  ],
  [
    "env",
    {
      usage: "env",
      summary: "the environment that the client sent",
      run: async (_words, { out, environment }) => {
        for (const [name, value] of environment) await out(`${name}=${value}\n`);
        return 0;
      },
    },
  ],
  [
    "echo",
    {
      usage: "echo WORD…",
      summary: "prints its words; >&2 prints them on stderr",
      run: async (words, { out }) => {
        await out(`${words.join(" ")}\n`);
        return 0;
      },
    },
  ],
  [
    "date",
    {
      usage: "date",
      summary: "the time, in UTC",
      run: async (_words, { out, clock }) => {
        await out(`${new Date(clock.now()).toISOString()}\n`);
        return 0;
      },
    },
  ],
  [
    "size",
    {
      usage: "size",
      summary: "columns and rows of the terminal",
      run: async (_words, { out, error, size }) => {
        if (size === undefined) {
          await error("size: no terminal\n");
          return 1;
        }
        await out(`${size.columns} ${size.rows}\n`);
        return 0;
      },
    },
  ],
  [
    "cat",
    {
      usage: "cat",
      summary: "copies its input to its output",
      run: async (_words, { out, input, signal }) => {
        for await (const chunk of input()) {
          if (signal.aborted) break;
          await out(chunk);
        }
        return 0;
      },
    },
  ],
  [
    "count",
    {
      usage: "count",
      summary: "counts the bytes of its input",
      run: async (_words, { out, input }) => {
        let bytes = 0;
        for await (const chunk of input()) bytes += chunk.length;
        await out(`${bytes}\n`);
        return 0;
      },
    },
  ],
  [
    "zeros",
    {
      usage: "zeros BYTES",
      summary: "prints that many zero bytes",
      run: async ([word], { out, error, signal }) => {
        const total = Number(word);
        if (!Number.isSafeInteger(total) || total < 0) {
          await error("usage: zeros BYTES\n");
          return statusUsage;
        }
        const chunk = Buffer.alloc(zerosChunkBytes);
        for (let left = total; left > 0 && !signal.aborted; left -= chunk.length) {
          await out(chunk.subarray(0, Math.min(left, chunk.length)));
        }
        return 0;
      },
    },
  ],
  [
    "sleep",
    {
      usage: "sleep SECONDS",
      summary: "waits; Ctrl-C ends it",
      run: async ([word], { error, clock, signal }) => {
        const ms = Number(word) * 1000;
        if (!(ms >= 0 && ms <= maxSleepMs)) {
          await error("usage: sleep SECONDS\n");
          return statusUsage;
        }
        await new Promise<void>((resolve) => {
          const timer = clock.after(ms, resolve);
          const stop = (): void => {
            timer[Symbol.dispose]();
            resolve();
          };
          if (signal.aborted) stop();
          else signal.addEventListener("abort", stop, { once: true });
        });
        return 0;
      },
    },
  ],
  [
    "exit",
    {
      usage: "exit [N]",
      summary: "ends the session with that status",
      run: ([word]) => statusOf(word),
    },
  ],
]);

/** Runs a line: commands apart by `;`, words by blanks. Never rejects for what was typed. */
export async function runLine(line: string, context: CommandContext): Promise<LineResult> {
  let status = 0;
  for (const words of parseLine(line, context.environment)) {
    if (context.signal.aborted) return { status: statusInterrupted, exit: false };
    const [name, ...rest] = words;
    if (name === undefined) continue;
    const toError = rest.at(-1) === ">&2";
    const given = toError ? { ...context, out: context.error } : context;
    const command = commands.get(name);
    if (command === undefined) {
      await context.error(`${name}: not found; try help\n`);
      status = statusNotFound;
      continue;
    }
    status = await command.run(toError ? rest.slice(0, -1) : rest, given);
    if (context.signal.aborted) return { status: statusInterrupted, exit: false };
    if (name === "exit") return { status, exit: true };
  }
  return { status, exit: false };
}

function statusOf(word: string | undefined): number {
  const status = word === undefined ? 0 : Number(word);
  return Number.isInteger(status) ? status & 0xff : statusUsage;
}

const wordPattern = /'([^']*)'|"((?:[^"\\]|\\.)*)"|\\(.)|([^\s;'"\\]+)|(;)|(\s+)/gsu;

/** Words of each command: quotes, backslashes and `$NAME` as in a shell, as far as a toy needs them. */
export function parseLine(line: string, environment: ReadonlyMap<string, string>): string[][] {
  const parsed: string[][] = [[]];
  let word: string | undefined;
  const endWord = (): void => {
    if (word !== undefined) parsed.at(-1)?.push(word);
    word = undefined;
  };
  for (const match of line.matchAll(wordPattern)) {
    const [, single, double, escaped, bare, semicolon] = match;
    if (single !== undefined) word = (word ?? "") + single;
    else if (double !== undefined) {
      word = (word ?? "") + expand(double, environment).replaceAll(/\\(["\\$])/g, "$1");
    } else if (escaped !== undefined) word = (word ?? "") + escaped;
    else if (bare !== undefined) word = (word ?? "") + expand(bare, environment);
    else {
      endWord();
      if (semicolon !== undefined) parsed.push([]);
    }
  }
  endWord();
  return parsed;
}

function expand(text: string, environment: ReadonlyMap<string, string>): string {
  return text.replaceAll(
    /(?<!\\)\$(?:(\w+)|\{(\w+)\})/g,
    (_all, name?: string, braced?: string) => environment.get(name ?? braced ?? "") ?? "",
  );
}

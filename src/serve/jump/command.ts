/** What a command line asks of a jump host. Nothing is ever started: these few forms are understood, and no other. */
export type JumpCommand =
  | { readonly kind: "connect"; readonly name: string; readonly port: number }
  | { readonly kind: "connect-path"; readonly path: string }
  | { readonly kind: "list"; readonly json: boolean }
  | { readonly kind: "help" }
  /** None of ours; `text` says what is wrong with it, where it is nearly one. */
  | { readonly kind: "unknown"; readonly text: string };

/** Longer command lines are none of ours. */
export const maxCommandChars = 1024;

const netcats: ReadonlySet<string> = new Set(["nc", "netcat", "ncat", "nc.openbsd", "nc.traditional"]);
const folders = /^(?:\/usr(?:\/local)?)?\/bin\//;

/** Options that change nothing here: address families, no DNS, ends of input, talk, time limits. */
const idleOptions = /^-[46nNv]+$/;
const idleNumbers = /^-[qw]$/;
const idleJoined = /^-[qw](?:-1|[0-9]{1,9})$/;

/** `ls`, `ls --json`, `help`, `nc HOST PORT` and `nc -U PATH`; words apart by blanks, no quotes, no shell's signs. */
export function parseCommand(line: string): JumpCommand {
  if (line.length > maxCommandChars) return { kind: "unknown", text: "the command is too long" };
  // What many a ProxyCommand says besides: our words go nowhere else anyhow.
  const bare = line.replace(/^[ \t]*exec[ \t]+/, "").replace(/[ \t]+2>[ \t]*\/dev\/null[ \t]*$/, "");
  const words = bare.split(/[ \t]+/).filter((word) => word !== "");
  const [program = "", ...rest] = words;
  const [first] = rest;
  if (netcats.has(program.replace(folders, ""))) return netcat(rest);
  if (program === "ls" && rest.length === 0) return { kind: "list", json: false };
  if (program === "ls" && rest.length === 1 && first === "--json") return { kind: "list", json: true };
  if (program === "ls") return { kind: "unknown", text: "ls takes no option but --json" };
  if ((program === "help" || program === "--help") && rest.length === 0) return { kind: "help" };
  return { kind: "unknown", text: "there are no such commands here" };
}

function netcat(words: readonly string[]): JumpCommand {
  const operands: string[] = [];
  let unix = false;
  for (let at = 0; at < words.length; at++) {
    const word = words[at] ?? "";
    if (!word.startsWith("-")) operands.push(word);
    else if (operands.length > 0) return wrong(`${shown(word)} stands after the host`);
    else if (word === "-U" && !unix) unix = true;
    else if (idleNumbers.test(word) && /^(?:-1|[0-9]{1,9})$/.test(words[at + 1] ?? "")) at++;
    else if (!idleOptions.test(word) && !idleJoined.test(word))
      return wrong(`${shown(word)} is not understood`);
  }
  const [host, port, ...more] = operands;
  if (host === undefined || more.length > 0) return wrong("it wants a host and a port, or -U and a path");
  if (unix) {
    if (port !== undefined) return wrong("-U wants a path and nothing else");
    return { kind: "connect-path", path: host };
  }
  const number = port === undefined ? undefined : portOf(port);
  if (number === undefined) return wrong("the port must be a number from 1 to 65535");
  return { kind: "connect", name: host, port: number };
}

function portOf(text: string): number | undefined {
  if (text === "ssh") return 22;
  if (!/^[0-9]{1,5}$/.test(text)) return undefined;
  const port = Number(text);
  return port >= 1 && port <= 65_535 ? port : undefined;
}

function wrong(text: string): JumpCommand {
  return { kind: "unknown", text: `nc: ${text}` };
}

/** Of what the client typed, only what does no harm on its terminal. */
function shown(word: string): string {
  return /^[\w.=/-]{1,40}$/.test(word) ? word : "an option";
}

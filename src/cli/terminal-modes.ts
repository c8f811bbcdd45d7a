import { execFileSync } from "node:child_process";

/** Opcodes of RFC 4254, section 8, by the names that stty(1) has for them. */
const characters: Readonly<Record<string, number>> = {
  intr: 1,
  quit: 2,
  erase: 3,
  kill: 4,
  eof: 5,
  eol: 6,
  eol2: 7,
  start: 8,
  stop: 9,
  susp: 10,
  dsusp: 11,
  rprnt: 12,
  werase: 13,
  lnext: 14,
  discard: 18,
};

const flags: Readonly<Record<string, number>> = {
  ignpar: 30,
  parmrk: 31,
  inpck: 32,
  istrip: 33,
  inlcr: 34,
  igncr: 35,
  icrnl: 36,
  iuclc: 37,
  ixon: 38,
  ixany: 39,
  ixoff: 40,
  imaxbel: 41,
  iutf8: 42,
  isig: 50,
  icanon: 51,
  xcase: 52,
  echo: 53,
  echoe: 54,
  echok: 55,
  echonl: 56,
  noflsh: 57,
  tostop: 58,
  iexten: 59,
  echoctl: 60,
  echoke: 61,
  opost: 70,
  olcuc: 71,
  onlcr: 72,
  ocrnl: 73,
  onocr: 74,
  onlret: 75,
  cs7: 90,
  cs8: 91,
  parenb: 92,
  parodd: 93,
};

const inputSpeed = 128;
const outputSpeed = 129;
/** "No such character", as the RFC has it. */
const noCharacter = 255;
const usualSpeed = 38_400;

/** What a terminal usually has, for where stty(1) cannot be asked. */
const usual =
  "speed 38400 baud; intr = ^C; quit = ^\\; erase = ^?; kill = ^U; eof = ^D; start = ^Q; stop = ^S; susp = ^Z; rprnt = ^R; werase = ^W; lnext = ^V; discard = ^O; cs8 icrnl ixon isig icanon iexten echo echoe echok echoctl echoke opost onlcr";

/** The modes of the terminal on stdin, for the one that the server makes. Node has no way to ask, so stty(1) is asked. */
export function terminalModes(): ReadonlyMap<number, number> {
  try {
    const text = execFileSync("stty", ["-a"], { stdio: ["inherit", "pipe", "ignore"], timeout: 2_000 });
    return parseModes(text.toString("latin1"));
  } catch {
    return parseModes(usual);
  }
}

/** Reads the output of `stty -a`. */
export function parseModes(text: string): ReadonlyMap<number, number> {
  const modes = new Map<number, number>();
  const speed = Number(/speed (\d+) baud/.exec(text)?.[1] ?? usualSpeed);
  modes.set(inputSpeed, speed).set(outputSpeed, speed);
  for (const [, name = "", value = ""] of text.matchAll(/\b([a-z]+2?) = ([^;]+);/g)) {
    const opcode = characters[name];
    if (opcode !== undefined) modes.set(opcode, characterOf(value.trim()));
  }
  // What stands before a semicolon is a value, all else are words.
  for (const word of text.replace(/[^;]*;/g, " ").split(/\s+/)) {
    const off = word.startsWith("-");
    const opcode = flags[off ? word.slice(1) : word];
    if (opcode !== undefined) modes.set(opcode, off ? 0 : 1);
  }
  return modes;
}

function characterOf(text: string): number {
  if (text === "^?") return 127;
  if (text.startsWith("^") && text.length === 2) return text.toUpperCase().charCodeAt(1) & 0x1f;
  return text.length === 1 ? text.charCodeAt(0) : noCharacter;
}

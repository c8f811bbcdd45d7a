import { isSourceList } from "./addresses.ts";
import { matchPattern } from "./patterns.ts";

/** A host pattern and a port of `permitopen` or `permitlisten`. */
export interface Permit {
  /** Name or address, brackets removed; for `permitlisten` a pattern. */
  readonly host: string;
  readonly port: number | "any";
}

/** The options of a line of authorized_keys (sshd(8), AUTHORIZED_KEYS FILE FORMAT). Without any, `defaultKeyOptions`. */
export interface KeyOptions {
  /** The key is no login key: it certifies them. */
  readonly certAuthority: boolean;
  /** With `certAuthority`: any of these must be in the certificate, in place of the user's name. */
  readonly principals?: readonly string[];
  /** List for `sourceAllowed`. */
  readonly from?: string;
  /** Seconds since 1970; the key is good up to and in this second. */
  readonly expiresAtSeconds?: number;
  /** `restrict` was given; the flags below already say what that means today. */
  readonly restricted: boolean;
  readonly agentForwarding: boolean;
  readonly portForwarding: boolean;
  readonly pty: boolean;
  readonly userRc: boolean;
  readonly x11Forwarding: boolean;
  /** FIDO keys. */
  readonly touchRequired: boolean;
  readonly verifyRequired: boolean;
  /** Runs in place of whatever the client asks for. */
  readonly command?: string;
  readonly environment: ReadonlyMap<string, string>;
  /** Undefined: anywhere. */
  readonly permitOpen?: readonly Permit[];
  readonly permitListen?: readonly Permit[];
  readonly tunnel?: number | "any";
}

/** Options while they are read. */
interface Draft extends Omit<Mutable<KeyOptions>, "environment" | "permitOpen" | "permitListen"> {
  readonly environment: Map<string, string>;
  permitOpen?: Permit[];
  permitListen?: Permit[];
}
type Mutable<T> = { -readonly [Name in keyof T]: T[Name] };

function newDraft(): Draft {
  return {
    certAuthority: false,
    restricted: false,
    agentForwarding: true,
    portForwarding: true,
    pty: true,
    userRc: true,
    x11Forwarding: true,
    touchRequired: true,
    verifyRequired: false,
    environment: new Map(),
  };
}

/** Of a line without options. */
export const defaultKeyOptions: KeyOptions = newDraft();

/** OpenSSH's SSH_AUTHOPT_PERMIT_MAX and SSH_AUTHOPT_ENV_MAX. */
const maxPermits = 4096;
const maxEnvironment = 1024;
/** OpenSSH's SSH_TUNID_MAX. */
const maxTunnel = 0x7fffffff - 2;
/** NI_MAXHOST, its NUL included. */
const maxHostBytes = 1025;

type Flag =
  | "agentForwarding"
  | "portForwarding"
  | "pty"
  | "userRc"
  | "x11Forwarding"
  | "touchRequired"
  | "verifyRequired";

const flags: ReadonlyMap<string, Flag> = new Map([
  ["agent-forwarding", "agentForwarding"],
  ["port-forwarding", "portForwarding"],
  ["pty", "pty"],
  ["user-rc", "userRc"],
  ["x11-forwarding", "x11Forwarding"],
  ["touch-required", "touchRequired"],
  ["verify-required", "verifyRequired"],
]);

/** Returns why the value is wrong, or undefined. */
type ValueParser = (draft: Draft, value: string) => string | undefined;

const values: ReadonlyMap<string, ValueParser> = new Map<string, ValueParser>([
  ["command", (draft, value) => once(draft, "command", value)],
  [
    "from",
    (draft, value) =>
      isSourceList(value) ? once(draft, "from", value) : "the list of addresses is malformed",
  ],
  ["principals", parsePrincipals],
  ["expiry-time", parseExpiry],
  ["environment", parseEnvironment],
  ["permitopen", (draft, value) => parsePermit(draft, "permitOpen", value)],
  [
    "permitlisten",
    (draft, value) => parsePermit(draft, "permitListen", value.includes(":") ? value : `*:${value}`),
  ],
  ["tunnel", parseTunnel],
]);

/** Options, or why there are none. */
export type KeyOptionsResult =
  | { readonly options: KeyOptions; readonly reason?: undefined }
  | { readonly options?: undefined; readonly reason: string };

/**
 * Parses the options in front of a key, comma-separated, names in any case. As with sshd, one that is not known makes the whole
 * line invalid, since it might be a restriction; later ones outweigh earlier ones.
 */
export function parseKeyOptions(text: string): KeyOptionsResult {
  const draft = newDraft();
  let at = 0;
  while (at < text.length) {
    const [whole = "", name = "", equals] = /^([A-Za-z0-9-]+)(=?)/.exec(text.slice(at, at + 64)) ?? [];
    if (whole === "") return { reason: "an option has no name" };
    at += whole.length;
    let reason: string | undefined;
    if (equals === "=") {
      const quoted = readQuoted(text, at);
      if (quoted === undefined)
        return { reason: `the value of ${name} is not in quotes, or they do not end` };
      at = quoted.end;
      const parse = values.get(name.toLowerCase());
      reason = parse === undefined ? `option ${name} is not known` : parse(draft, quoted.value);
    } else {
      reason = setFlag(draft, name.toLowerCase());
    }
    if (reason !== undefined) return { reason };
    if (at === text.length) break;
    if (text[at] !== "," || at + 1 === text.length)
      return { reason: `after ${name} comes neither a comma nor the end` };
    at++;
  }
  return { options: draft };
}

/** Offset after the options at the start of a line: the first blank outside quotes. Undefined when the quotes do not end. */
export function endOfOptions(line: string): number | undefined {
  let quoted = false;
  for (let at = 0; at < line.length; at++) {
    const character = line[at];
    if (character === "\\" && line[at + 1] === '"') at++;
    else if (character === '"') quoted = !quoted;
    else if (!quoted && (character === " " || character === "\t")) return at;
  }
  return quoted ? undefined : line.length;
}

/** A value in quotes, in which `\"` is a quote and nothing else is special. */
function readQuoted(
  text: string,
  start: number,
): { readonly value: string; readonly end: number } | undefined {
  if (text[start] !== '"') return undefined;
  let value = "";
  for (let at = start + 1; at < text.length; at++) {
    if (text[at] === '"') return { value, end: at + 1 };
    if (text[at] === "\\" && text[at + 1] === '"') at++;
    value += text[at];
  }
  return undefined;
}

function setFlag(draft: Draft, name: string): string | undefined {
  if (name === "cert-authority") {
    draft.certAuthority = true;
    return undefined;
  }
  if (name === "restrict") {
    draft.restricted = true;
    draft.agentForwarding = false;
    draft.portForwarding = false;
    draft.pty = false;
    draft.userRc = false;
    draft.x11Forwarding = false;
    return undefined;
  }
  const negated = name.startsWith("no-");
  const flag = flags.get(negated ? name.slice(3) : name);
  if (flag === undefined) return `option ${name} is not known`;
  draft[flag] = !negated;
  return undefined;
}

function once(draft: Draft, name: "command" | "from", value: string): string | undefined {
  if (draft[name] !== undefined) return `${name} is there twice`;
  draft[name] = value;
  return undefined;
}

function parsePrincipals(draft: Draft, value: string): string | undefined {
  if (draft.principals !== undefined) return "principals is there twice";
  draft.principals = value.split(",").filter((name) => name !== "");
  return undefined;
}

function parseExpiry(draft: Draft, value: string): string | undefined {
  const seconds = parseTimestamp(value);
  if (seconds === undefined || seconds <= 0) return "the expiry time is malformed";
  draft.expiresAtSeconds = Math.min(seconds, draft.expiresAtSeconds ?? seconds);
  return undefined;
}

function parseEnvironment(draft: Draft, value: string): string | undefined {
  const [, name, content] = /^([A-Za-z0-9_]+)=(.*)$/s.exec(value) ?? [];
  if (name === undefined || content === undefined) return "environment is not of the form NAME=value";
  if (draft.environment.size >= maxEnvironment) return "too many environment variables";
  if (!draft.environment.has(name)) draft.environment.set(name, content); // the first one counts
  return undefined;
}

function parsePermit(draft: Draft, list: "permitOpen" | "permitListen", value: string): string | undefined {
  const permits = (draft[list] ??= []);
  if (permits.length >= maxPermits) return "too many hosts and ports";
  const [, bracketed, bare, portText] = /^(?:\[([^\]]*)\]|([^:/[]*))[:/](\*|[0-9]{1,5})$/.exec(value) ?? [];
  const host = bracketed ?? bare;
  if (host === undefined || portText === undefined || host.length >= maxHostBytes) {
    return "not of the form host:port";
  }
  const port = portText === "*" ? "any" : Number(portText);
  if (port !== "any" && (port < 1 || port > 65535)) return "a port outside 1 to 65535";
  permits.push({ host, port });
  return undefined;
}

function parseTunnel(draft: Draft, value: string): string | undefined {
  if (value.toLowerCase() === "any") {
    draft.tunnel = "any";
    return undefined;
  }
  if (!/^[0-9]{1,10}$/.test(value) || Number(value) > maxTunnel)
    return "the number of the tunnel is malformed";
  draft.tunnel = Number(value);
  return undefined;
}

/**
 * A time as `expiry-time` has it, in seconds since 1970: YYYYMMDD, YYYYMMDDHHMM or YYYYMMDDHHMMSS, in UTC with a Z or UTC behind
 * it, else in the machine's time zone. Undefined if malformed.
 */
export function parseTimestamp(text: string): number | undefined {
  const [, year, month, day, hour = "00", minute = "00", second = "00", zone] =
    /^(\d{4})(\d{2})(\d{2})(?:(\d{2})(\d{2})(\d{2})?)?(Z|UTC)?$/i.exec(text) ?? [];
  if (year === undefined || month === undefined || day === undefined) return undefined;
  if (Number(hour) > 23 || Number(minute) > 59 || Number(second) > 60) return undefined;
  const calendarDay = new Date(`${year}-${month}-${day}T00:00:00Z`);
  // JavaScript takes a 31st of February for the 3rd of March.
  if (Number.isNaN(calendarDay.getTime()) || calendarDay.getUTCDate() !== Number(day)) return undefined;
  if (zone === undefined) {
    const local = new Date(
      Number(year),
      Number(month) - 1,
      Number(day),
      Number(hour),
      Number(minute),
      Number(second),
    );
    return Math.floor(local.getTime() / 1000);
  }
  return calendarDay.getTime() / 1000 + Number(hour) * 3600 + Number(minute) * 60 + Number(second);
}

/** Whether `permitOpen` lets a connection through to a host and port; hosts are compared as written. */
export function mayOpen(permits: readonly Permit[] | undefined, host: string, port: number): boolean {
  if (permits === undefined) return true;
  return permits.some((permit) => fitsPort(permit, port) && (permit.host === "*" || permit.host === host));
}

/** Whether `permitListen` lets a client have us listen at a host and port; its hosts are patterns. */
export function mayListen(permits: readonly Permit[] | undefined, host: string, port: number): boolean {
  if (permits === undefined) return true;
  return permits.some((permit) => fitsPort(permit, port) && matchPattern(host.toLowerCase(), permit.host));
}

function fitsPort(permit: Permit, port: number): boolean {
  return permit.port === "any" || permit.port === port;
}

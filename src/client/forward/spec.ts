import { formatHostPort, type HostPort, parsePort } from "#base";
import { clientErrors } from "../errors.ts";

/** A place to listen on or to connect to. */
export type Place = ({ readonly kind: "tcp" } & HostPort) | { readonly kind: "unix"; readonly path: string };

/** A place to listen on. An empty host is all addresses; undefined is what is usual: loopback. */
export type ListenPlace =
  | { readonly kind: "tcp"; readonly host: string | undefined; readonly port: number }
  | { readonly kind: "unix"; readonly path: string };

/**
 * One forwarding. `local`: we listen, the server connects. `remote`: the server listens, we connect. Without `to`, whoever connects
 * says by SOCKS where to.
 */
export interface ForwardSpec {
  readonly side: "local" | "remote";
  readonly listen: ListenPlace;
  readonly to: Place | undefined;
}

/**
 * Reads `[bind:]port:host:port`, with UNIX sockets and IPv6 in brackets as ssh(1) takes them for -L and -R; blanks may stand
 * between the two halves as in ssh_config. For -R, `[bind:]port` alone is SOCKS. Throws OPERATOR_CLIENT_ARGUMENT.
 */
export function parseForward(side: "local" | "remote", text: string): ForwardSpec {
  const fields = fieldsOf(text);
  if (fields === undefined) throw invalid(side, text, "a bracket or a field is not closed");
  const fail = (reason: string): never => {
    throw invalid(side, text, reason);
  };
  const count = fields.length;
  const last = fields.at(-1);
  if (last === undefined || count > 4) return fail("there are too many colons");
  // From behind: a path is a place by itself, all else are host and port.
  const toWidth = last.path ? 1 : 2;
  if (side === "remote" && isListenAlone(fields)) {
    return { side, listen: listenPlace(fields, fail), to: undefined };
  }
  if (count <= toWidth) {
    return fail(
      side === "local"
        ? "write [address:]port:host:port"
        : "write [address:]port:host:port, or [address:]port",
    );
  }
  const to = toPlace(fields.slice(-toWidth), fail);
  return { side, listen: listenPlace(fields.slice(0, -toWidth), fail), to };
}

/** Reads `[bind:]port` of -D. Throws OPERATOR_CLIENT_ARGUMENT. */
export function parseDynamic(text: string): ForwardSpec {
  const fail = (reason: string): never => {
    throw new clientErrors.OPERATOR_CLIENT_ARGUMENT(`-D ${shown(text)}: ${reason}.`);
  };
  const fields = fieldsOf(text);
  if (fields === undefined || fields.length > 2) return fail("write [address:]port");
  return { side: "local", listen: listenPlace(fields, fail), to: undefined };
}

export function formatPlace(place: Place | ListenPlace): string {
  if (place.kind === "unix") return place.path;
  return formatHostPort({
    host: place.host === undefined ? "localhost" : place.host || "*",
    port: place.port,
  });
}

interface Field {
  readonly text: string;
  readonly bracketed: boolean;
  readonly path: boolean;
}

/** Fields between colons (or the one blank of ssh_config); undefined if a bracket is left open. A backslash takes the next character as it is. */
function fieldsOf(text: string): Field[] | undefined {
  const fields: Field[] = [];
  const whole = text.trim().replace(/[ \t]+/, ":");
  let at = 0;
  for (;;) {
    if (whole[at] === "[") {
      const end = whole.indexOf("]", at);
      if (end < 0) return undefined;
      const inside = whole.slice(at + 1, end);
      fields.push({ text: inside, bracketed: true, path: inside.startsWith("/") });
      at = end + 1;
      if (at < whole.length && whole[at] !== ":") return undefined;
    } else {
      let field = "";
      while (at < whole.length && whole[at] !== ":") {
        if (whole[at] === "\\" && at + 1 < whole.length) at += 1;
        field += whole[at] ?? "";
        at += 1;
      }
      fields.push({ text: field, bracketed: false, path: field.includes("/") });
    }
    if (at >= whole.length) return fields;
    at += 1;
    if (fields.length > 8) return fields;
  }
}

/** `port`, `bind:port` or one path: nothing to connect to. */
function isListenAlone(fields: readonly Field[]): boolean {
  const [first, second] = fields;
  if (first === undefined || fields.length > 2) return false;
  if (second === undefined) return !first.bracketed;
  return !first.path && !second.path && isPort(second) && (!isPort(first) || first.bracketed);
}

function isPort({ text, bracketed }: Field): boolean {
  return !bracketed && /^\d+$/.test(text);
}

function listenPlace(fields: readonly Field[], fail: (reason: string) => never): ListenPlace {
  const [first, second, more] = fields;
  if (first === undefined || more !== undefined) return fail("there are too many fields");
  if (second === undefined && first.path) return { kind: "unix", path: socketPath(first.text, fail) };
  if (first.path || second?.path === true) return fail("a socket's path stands by itself");
  const port = parsePort((second ?? first).text);
  if (port === undefined || (second ?? first).bracketed)
    return fail(`"${(second ?? first).text.slice(0, 80)}" is no port to listen on`);
  if (second === undefined) return { kind: "tcp", host: undefined, port };
  return { kind: "tcp", host: first.text === "*" ? "" : first.text, port };
}

function toPlace(fields: readonly Field[], fail: (reason: string) => never): Place {
  const [first, second] = fields;
  if (first === undefined) return fail("there is no place to connect to");
  if (second === undefined) return { kind: "unix", path: socketPath(first.text, fail) };
  const port = parsePort(second.text);
  if (port === undefined || port === 0 || second.bracketed)
    return fail(`"${second.text.slice(0, 80)}" is no port to connect to`);
  if (first.text === "" || first.path || first.text.length > 255)
    return fail("there is no host to connect to");
  return { kind: "tcp", host: first.text, port };
}

/** sun_path holds 108 bytes with the final NUL. */
function socketPath(path: string, fail: (reason: string) => never): string {
  if (Buffer.byteLength(path) > 107) return fail("the path of a UNIX socket can be 107 bytes long");
  if (path.includes("\0")) return fail("a path holds no NUL");
  return path;
}

function invalid(side: "local" | "remote", text: string, reason: string): Error {
  return new clientErrors.OPERATOR_CLIENT_ARGUMENT(
    `${side === "local" ? "-L" : "-R"} ${shown(text)}: ${reason}.`,
  );
}

function shown(text: string): string {
  return text.slice(0, 200);
}

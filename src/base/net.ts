import { isIPv4, isIPv6 } from "node:net";
import { baseErrors } from "./rows.ts";

/** Where to listen or to dial. `systemd` is a socket that systemd opened and passed, optionally that of one name. */
export type Endpoint =
  | { readonly kind: "tcp"; readonly host: string; readonly port: number }
  | { readonly kind: "unix"; readonly path: string }
  | { readonly kind: "systemd"; readonly name?: string };

/** A host and a port, as upstreams have them. */
export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/**
 * Reads `host:port`, `[v6]:port`, `:port` (every address), `unix:/path` or `systemd[:name]`; without a port `defaultPort` is
 * taken, if there is one. Throws OPERATOR_ADDRESS_INVALID.
 */
export function parseEndpoint(text: string, defaultPort?: number): Endpoint {
  if (text === "systemd") return { kind: "systemd" };
  if (text.startsWith("systemd:")) return { kind: "systemd", name: text.slice("systemd:".length) };
  if (text.startsWith("unix:")) {
    const path = text.slice("unix:".length);
    if (path === "") throw invalid(text, "the path after unix: is missing");
    // sun_path holds 108 bytes with the final NUL; the kernel's own message would not say so.
    if (Buffer.byteLength(path) > 107) throw invalid(text, "the path of a UNIX socket can be 107 bytes long");
    return { kind: "unix", path };
  }
  return { kind: "tcp", ...parseHostPort(text, defaultPort) };
}

/** Reads `host:port` or `[v6]:port`. Throws OPERATOR_ADDRESS_INVALID. */
export function parseHostPort(text: string, defaultPort?: number): HostPort {
  const found = /^(?:\[([^\]]*)\]|([^:[\]]*))(?::(\d*))?$/.exec(text);
  if (found === null) {
    throw invalid(
      text,
      isIPv6(text) ? 'an IPv6 address stands in brackets: "[v6]:port"' : 'write host:port, or "[v6]:port"',
    );
  }
  const [, bracketed, plain, portText] = found;
  if (bracketed !== undefined && !isIPv6(bracketed))
    throw invalid(text, "only an IPv6 address stands in brackets");
  const host = bracketed ?? plain ?? "";
  if (portText === undefined && /^\d+$/.test(host))
    throw invalid(text, `a port stands behind a colon: write ":${text}"`);
  if (host !== "" && !isHost(host)) throw invalid(text, "the host is neither a name nor an address");
  const port = portText === undefined ? defaultPort : parsePort(portText);
  if (port === undefined) {
    throw invalid(
      text,
      portText === undefined ? "the port is missing: write host:port" : "a port is 0 to 65535",
    );
  }
  // An empty host is every address, of IPv6 and IPv4 both.
  return { host: host === "" ? "::" : host, port };
}

/** 0 to 65535, or undefined. */
export function parsePort(text: string): number | undefined {
  return /^\d{1,5}$/.test(text) && Number(text) <= 65_535 ? Number(text) : undefined;
}

export function formatEndpoint(endpoint: Endpoint): string {
  switch (endpoint.kind) {
    case "tcp":
      return formatHostPort(endpoint);
    case "unix":
      return `unix:${endpoint.path}`;
    case "systemd":
      return endpoint.name === undefined ? "systemd" : `systemd:${endpoint.name}`;
  }
}

export function formatHostPort({ host, port }: HostPort): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** True for an IP address (with a zone, too) or a name of letters, digits, `-` and `_` that DNS or the hosts file could know. */
export function isHost(text: string): boolean {
  if (isIPv4(text) || isIPv6(text)) return true;
  if (text.length > 253 || /^[\d.]+$/.test(text)) return false;
  // Without the flag u: with it the Kelvin sign is a k and the long s an s, in names that no allow-list knows.
  return /^(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.?$/i.test(
    text,
  );
}

/** A range of addresses. Those of IPv4 match an IPv6 address that maps them (::ffff:a.b.c.d), too. */
export class Cidr {
  readonly text: string;
  readonly prefixBits: number;
  readonly #bytes: Uint8Array;

  /** `10.0.0.0/8`, `2001:db8::/32`, or one address. Throws OPERATOR_ADDRESS_INVALID. */
  constructor(text: string) {
    const [, address = "", bits] = /^([^/]*)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
    const bytes = addressBytes(address);
    if (bytes === undefined)
      throw invalid(text, "write an address, or a range as 10.0.0.0/8 or 2001:db8::/32");
    const whole = bytes.length * 8;
    this.prefixBits = bits === undefined ? whole : Number(bits);
    if (this.prefixBits > whole) throw invalid(text, `the prefix can be at most ${whole} bits`);
    this.#bytes = maskBits(bytes, this.prefixBits);
    if (bits !== undefined && !this.#bytes.every((byte, at) => byte === bytes[at])) {
      const start = formatBytes(this.#bytes);
      throw invalid(text, `it has bits set after the prefix: write ${start}/${this.prefixBits}`);
    }
    this.text = text;
  }

  /** False for what is no IP address. */
  contains(address: string): boolean {
    const bytes = addressBytes(address);
    if (bytes === undefined || bytes.length !== this.#bytes.length) return false;
    return maskBits(bytes, this.prefixBits).every((byte, at) => byte === this.#bytes[at]);
  }

  toJSON(): string {
    return this.text;
  }
}

/** The address in its shortest form, mapped IPv4 as IPv4, without a zone; text that is no IP address comes back as it is. */
export function normalAddress(text: string): string {
  const bytes = addressBytes(text);
  return bytes === undefined ? text : formatBytes(bytes);
}

/**
 * The network an address is counted under, since one person commands a whole IPv6 network: `192.0.2.7` and 32 give
 * `192.0.2.7/32`. Text that is no IP address (a UNIX socket) comes back as it is.
 */
export function networkOf(address: string, ipv4Bits: number, ipv6Bits: number): string {
  const bytes = addressBytes(address);
  if (bytes === undefined) return address;
  const bits = bytes.length === 4 ? ipv4Bits : ipv6Bits;
  return `${formatBytes(maskBits(bytes, bits))}/${bits}`;
}

/** 4 or 16 bytes; a mapped IPv4 address is IPv4, because dual-stack sockets show it so. */
function addressBytes(text: string): Uint8Array | undefined {
  if (isIPv4(text)) return Uint8Array.from(text.split("."), Number);
  const bare = text.replace(/%.*$/, "");
  if (!isIPv6(bare)) return undefined;
  const tail = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(bare);
  let hex = bare;
  if (tail !== null) {
    const [a = 0, b = 0, c = 0, d = 0] = tail.slice(2).map(Number);
    hex = `${tail[1]}${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
  }
  const [before = "", after] = hex.split("::");
  const front = before === "" ? [] : before.split(":");
  const back = after === undefined || after === "" ? [] : after.split(":");
  const groups = [...front, ...Array.from({ length: 8 - front.length - back.length }, () => "0"), ...back];
  const bytes = Uint8Array.from(
    groups.flatMap((group) => [Number.parseInt(group, 16) >> 8, Number.parseInt(group, 16) & 255]),
  );
  const mapped = bytes.subarray(0, 10).every((byte) => byte === 0) && bytes[10] === 255 && bytes[11] === 255;
  return mapped ? bytes.slice(12) : bytes;
}

function maskBits(bytes: Uint8Array, bits: number): Uint8Array {
  return bytes.map((byte, at) => {
    const kept = Math.min(Math.max(bits - at * 8, 0), 8);
    return byte & (0xff << (8 - kept));
  });
}

/** RFC 5952: the longest run of zero groups, of two at least, becomes `::`. */
function formatBytes(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join(".");
  const groups = Array.from({ length: 8 }, (_, at) => ((bytes[at * 2] ?? 0) << 8) | (bytes[at * 2 + 1] ?? 0));
  let best = { at: -1, length: 1 };
  for (let at = 0; at < 8; at++) {
    let length = 0;
    while (at + length < 8 && groups[at + length] === 0) length++;
    if (length > best.length) best = { at, length };
  }
  const hex = (from: number, to: number): string =>
    groups
      .slice(from, to)
      .map((group) => group.toString(16))
      .join(":");
  return best.at < 0 ? hex(0, 8) : `${hex(0, best.at)}::${hex(best.at + best.length, 8)}`;
}

function invalid(text: string, hint: string): Error {
  return new baseErrors.OPERATOR_ADDRESS_INVALID(`"${text}": ${hint}`);
}

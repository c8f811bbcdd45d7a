import { isIPv4, isIPv6 } from "node:net";
import { normalAddress, parsePort } from "#base";
import { entryErrors } from "../errors.ts";

/** HAProxy's PROXY protocol, versions 1 and 2 (haproxy.org, proxy-protocol.txt, revision of 2020). */
export interface ProxyHeader {
  /** Bytes that it takes. */
  readonly length: number;
  /** Absent: the proxy speaks for itself (a health check), or does not know. */
  readonly source?: { readonly ip: string; readonly port: number };
  /** The address that its client connected to. */
  readonly destination?: { readonly ip: string; readonly port: number };
}

/** A header of version 1 has 107 bytes at most; of version 2 we take as many as a proxy sends with all known extensions. */
const maxVersion1Bytes = 107;
export const maxProxyHeaderBytes: number = 4096;

const signature = Uint8Array.of(0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a);
const word = Buffer.from("PROXY ");

/** Undefined: more bytes are needed. Throws PEER_PROXY_HEADER. */
export function decodeProxyHeader(bytes: Uint8Array): ProxyHeader | undefined {
  if (beginsLike(bytes, signature)) return bytes.length < 16 ? undefined : version2(bytes);
  if (beginsLike(bytes, word)) return version1(bytes);
  throw new entryErrors.PEER_PROXY_HEADER("there is none");
}

/** The same for a whole header. Throws PEER_PROXY_HEADER also for one that is cut off. */
export function readProxyHeader(bytes: Uint8Array): ProxyHeader {
  const header = decodeProxyHeader(bytes);
  if (header === undefined) throw new entryErrors.PEER_PROXY_HEADER("it is cut off");
  return header;
}

function beginsLike(bytes: Uint8Array, pattern: Uint8Array): boolean {
  const length = Math.min(bytes.length, pattern.length);
  for (let at = 0; at < length; at++) if (bytes[at] !== pattern[at]) return false;
  return true;
}

function version1(bytes: Uint8Array): ProxyHeader | undefined {
  const end = bytes.indexOf(0x0a);
  if (end < 0 && bytes.length < maxVersion1Bytes) return undefined;
  if (end < 0 || end >= maxVersion1Bytes) throw new entryErrors.PEER_PROXY_HEADER("the line is too long");
  const line = Buffer.from(bytes.subarray(0, end + 1)).toString("latin1");
  const length = end + 1;
  if (/^PROXY UNKNOWN(?: [^\r\n]*)?\r\n$/.test(line)) return { length };
  const [, family, from = "", to = "", fromPort = "", toPort = ""] =
    /^PROXY (TCP4|TCP6) (\S+) (\S+) (\d+) (\d+)\r\n$/.exec(line) ?? [];
  const fits = family === "TCP4" ? isIPv4 : isIPv6;
  const ports = [parsePort(fromPort), parsePort(toPort)];
  const [sourcePort, destinationPort] = ports;
  if (!fits(from) || !fits(to) || sourcePort === undefined || destinationPort === undefined)
    throw new entryErrors.PEER_PROXY_HEADER("the line is malformed");
  return {
    length,
    source: { ip: normalAddress(from), port: sourcePort },
    destination: { ip: normalAddress(to), port: destinationPort },
  };
}

function version2(bytes: Uint8Array): ProxyHeader | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const command = view.getUint8(12);
  const family = view.getUint8(13);
  const length = 16 + view.getUint16(14);
  if (command !== 0x20 && command !== 0x21)
    throw new entryErrors.PEER_PROXY_HEADER("an unknown version or command");
  if (length > maxProxyHeaderBytes) throw new entryErrors.PEER_PROXY_HEADER("it is too long");
  // LOCAL, and families that are not TCP: to be skipped, the connection's own addresses hold.
  const size = { 0x11: 4, 0x21: 16 }[family];
  if (command === 0x21 && size !== undefined && length < 16 + 2 * size + 4)
    throw new entryErrors.PEER_PROXY_HEADER("the addresses are cut off");
  if (bytes.length < length) return undefined;
  if (command === 0x20 || size === undefined) return { length };
  const ip = (at: number): string => addressText(bytes.subarray(at, at + size));
  return {
    length,
    source: { ip: ip(16), port: view.getUint16(16 + 2 * size) },
    destination: { ip: ip(16 + size), port: view.getUint16(18 + 2 * size) },
  };
}

function addressText(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join(".");
  const groups = Array.from({ length: 8 }, (_, at) =>
    (((bytes[at * 2] ?? 0) << 8) | (bytes[at * 2 + 1] ?? 0)).toString(16),
  );
  return normalAddress(groups.join(":"));
}

import { isIPv4, isIPv6 } from "node:net";
import type { Asker } from "#contract";

export type ProxyVersion = 1 | 2;

const signature = Uint8Array.of(0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a);

interface Ends {
  readonly family: 4 | 6;
  readonly from: { readonly ip: string; readonly port: number };
  readonly to: { readonly ip: string; readonly port: number };
}

/**
 * HAProxy's PROXY protocol (haproxy.org, proxy-protocol.txt): for whom we connect. Without an asker, or for one without an address
 * (a UNIX socket), it says that the connection is our own: LOCAL, or UNKNOWN in version 1.
 */
export function encodeProxyHeader(version: ProxyVersion, asker: Asker | undefined): Uint8Array {
  const ends = asker === undefined ? undefined : endsOf(asker);
  return version === 1 ? version1(ends) : version2(ends);
}

function endsOf({ from, to }: Asker): Ends | undefined {
  if (from.ip === undefined || from.port === undefined || to === undefined) return undefined;
  const [source, destination] = [withoutZone(from.ip), withoutZone(to.ip)];
  const family = isIPv4(source) && isIPv4(destination) ? 4 : 6;
  const both = [source, destination].map((ip) => (family === 6 && isIPv4(ip) ? `::ffff:${ip}` : ip));
  const [sourceIp = "", destinationIp = ""] = both;
  return {
    family,
    from: { ip: sourceIp, port: from.port },
    to: { ip: destinationIp, port: to.port },
  };
}

/** A zone means something on our machine alone. */
function withoutZone(ip: string): string {
  return ip.replace(/%.*$/, "");
}

function version1(ends: Ends | undefined): Uint8Array {
  if (ends === undefined) return Buffer.from("PROXY UNKNOWN\r\n", "latin1");
  const { family, from, to } = ends;
  return Buffer.from(`PROXY TCP${family} ${from.ip} ${to.ip} ${from.port} ${to.port}\r\n`, "latin1");
}

function version2(ends: Ends | undefined): Uint8Array {
  if (ends === undefined) return Uint8Array.of(...signature, 0x20, 0, 0, 0);
  const { family, from, to } = ends;
  const size = family === 4 ? 4 : 16;
  const bytes = Buffer.alloc(16 + 2 * size + 4);
  bytes.set(signature);
  bytes.writeUInt8(0x21, 12);
  // The address family in the high half, a stream in the low one.
  bytes.writeUInt8(family === 4 ? 0x11 : 0x21, 13);
  bytes.writeUInt16BE(2 * size + 4, 14);
  bytes.set(addressBytes(from.ip), 16);
  bytes.set(addressBytes(to.ip), 16 + size);
  bytes.writeUInt16BE(from.port, 16 + 2 * size);
  bytes.writeUInt16BE(to.port, 18 + 2 * size);
  return bytes;
}

/** 4 or 16 bytes of what is known to be an address. */
function addressBytes(ip: string): Uint8Array {
  if (!isIPv6(ip)) return Uint8Array.from(ip.split("."), Number);
  // The parser of URLs writes it in groups of hexadecimal digits only, an IPv4 tail too.
  const plain = new URL(`http://[${ip}]`).hostname.slice(1, -1);
  const [head = "", tail] = plain.split("::");
  const groups = (text: string | undefined): string[] =>
    text === undefined || text === "" ? [] : text.split(":");
  const [before, after] = [groups(head), groups(tail)];
  const zeros = Array<string>(8 - before.length - after.length).fill("0");
  return Uint8Array.from(
    [...before, ...zeros, ...after].flatMap((group) => {
      const value = Number.parseInt(group, 16);
      return [value >> 8, value & 255];
    }),
  );
}

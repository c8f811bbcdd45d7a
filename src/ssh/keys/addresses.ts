import { isIPv4, isIPv6 } from "node:net";
import { matchHostName, matchPattern } from "./patterns.ts";

/** A network: the address's bytes (4 or 16) and how many leading bits count. */
export interface Cidr {
  readonly address: Uint8Array;
  readonly prefixBits: number;
}

/**
 * The bytes of an IP address: 4, or 16. An IPv4 address mapped into IPv6 (`::ffff:10.0.0.1`) becomes IPv4, and the zone of a
 * link-local address (`%eth0`) is dropped. Undefined for anything else.
 */
export function parseAddress(text: string): Uint8Array | undefined {
  if (isIPv4(text)) return Uint8Array.from(text.split(".", 4), Number);
  const zoneAt = text.indexOf("%");
  const bare = zoneAt < 0 ? text : text.slice(0, zoneAt);
  if (!isIPv6(bare)) return undefined;
  const bytes = ipv6Bytes(bare);
  return isMapped(bytes) ? bytes.slice(12) : bytes;
}

/**
 * A network such as `10.0.0.0/8` or `2001:db8::/32`, or a single address. "inconsistent" when bits are set beyond the prefix or
 * the prefix is too long, as OpenSSH says; undefined when it is no network at all.
 */
export function parseCidr(text: string): Cidr | "inconsistent" | undefined {
  const slashAt = text.indexOf("/");
  const addressText = slashAt < 0 ? text : text.slice(0, slashAt);
  if (addressText.includes("%")) return undefined;
  const address = isIPv4(addressText)
    ? parseAddress(addressText)
    : isIPv6(addressText)
      ? ipv6Bytes(addressText)
      : undefined;
  if (address === undefined) return undefined;
  if (slashAt < 0) return unmapped(address, address.length * 8);
  const prefixText = text.slice(slashAt + 1);
  if (!/^[0-9]{1,3}$/.test(prefixText)) return undefined;
  const prefixBits = Number(prefixText);
  if (prefixBits > address.length * 8 || !isNetwork(address, prefixBits)) return "inconsistent";
  return unmapped(address, prefixBits);
}

/** Whether the address lies in the network; never across the two families. */
export function cidrContains(cidr: Cidr, address: Uint8Array): boolean {
  if (cidr.address.length !== address.length) return false;
  let bits = cidr.prefixBits;
  for (let at = 0; bits > 0; at++, bits -= 8) {
    const mask = bits >= 8 ? 0xff : (0xff << (8 - bits)) & 0xff;
    if ((((cidr.address[at] ?? 0) ^ (address[at] ?? 0)) & mask) !== 0) return false;
  }
  return true;
}

export type CidrCheck = "match" | "no-match" | "invalid";

/**
 * Matches an address against a comma-separated list of networks and addresses, without wildcards and negation: the
 * `source-address` of certificates. A list with anything else in it is "invalid" as a whole.
 */
export function matchCidrList(list: string, address: string): CidrCheck {
  const bytes = parseAddress(address);
  let found: CidrCheck = "no-match";
  for (const entry of list.split(",")) {
    const cidr = parseCidr(entry);
    if (cidr === undefined || cidr === "inconsistent") return "invalid";
    if (bytes !== undefined && cidrContains(cidr, bytes)) found = "match";
  }
  return found;
}

/** Whether a list is one that `sourceAllowed` can judge: no empty entry, no inconsistent network. */
export function isSourceList(list: string): boolean {
  return list.split(",").every((entry) => {
    const bare = entry.startsWith("!") ? entry.slice(1) : entry;
    return bare !== "" && parseCidr(bare) !== "inconsistent";
  });
}

/**
 * Whether a client may come from an address, by the list of a `from` option (sshd(8)): networks, addresses, and patterns over the
 * address and, if it is known, the host name. One negated entry that matches refuses, wherever it stands; so does a list that
 * `isSourceList` rejects.
 */
export function sourceAllowed(list: string, address: string, hostName?: string): boolean {
  if (!isSourceList(list)) return false;
  const bytes = parseAddress(address);
  // A mapped address is written as IPv4 in every list.
  const written = bytes?.length === 4 ? bytes.join(".") : address.toLowerCase();
  let allowed = false;
  for (const entry of list.split(",")) {
    const negated = entry.startsWith("!");
    if (!sourceMatches(negated ? entry.slice(1) : entry, bytes, written, hostName)) continue;
    if (negated) return false;
    allowed = true;
  }
  return allowed;
}

function sourceMatches(
  entry: string,
  bytes: Uint8Array | undefined,
  address: string,
  hostName: string | undefined,
): boolean {
  const cidr = parseCidr(entry);
  if (cidr !== undefined && cidr !== "inconsistent") return bytes !== undefined && cidrContains(cidr, bytes);
  if (matchPattern(address, entry.toLowerCase())) return true;
  return hostName !== undefined && matchHostName(hostName, entry) === "match";
}

/** The sixteen bytes of a text that `isIPv6` has accepted. */
function ipv6Bytes(text: string): Uint8Array {
  const bytes = new Uint8Array(16);
  const [head = "", tail] = text.split("::", 2);
  bytes.set(groupBytes(head));
  if (tail !== undefined) {
    const end = groupBytes(tail);
    bytes.set(end, 16 - end.length);
  }
  return bytes;
}

function groupBytes(text: string): number[] {
  if (text === "") return [];
  return text.split(":").flatMap((group) => {
    if (group.includes(".")) return group.split(".").map(Number);
    const value = Number.parseInt(group, 16);
    return [value >> 8, value & 0xff];
  });
}

function isMapped(bytes: Uint8Array): boolean {
  return bytes.subarray(0, 10).every((byte) => byte === 0) && bytes[10] === 0xff && bytes[11] === 0xff;
}

function isNetwork(address: Uint8Array, prefixBits: number): boolean {
  return address.every((byte, at) => {
    const bits = Math.min(Math.max(prefixBits - at * 8, 0), 8);
    return (byte & (0xff >> bits)) === 0;
  });
}

/** A network of mapped addresses is one of IPv4, since addresses are compared unmapped. */
function unmapped(address: Uint8Array, prefixBits: number): Cidr {
  if (address.length === 16 && prefixBits >= 96 && isMapped(address)) {
    return { address: address.slice(12), prefixBits: prefixBits - 96 };
  }
  return { address, prefixBits };
}

import { isIPv4, isIPv6 } from "node:net";
import type { HostPort } from "#base";
import type { Decoded } from "../conversation.ts";
import { dialerErrors } from "../errors.ts";

/** SOCKS version 5: RFC 1928, and RFC 1929 for name and password. */
const version = 5;
const loginVersion = 1;

export const METHOD = { NONE: 0, PASSWORD: 2, REFUSED: 0xff } as const;

export function encodeGreeting(withLogin: boolean): Uint8Array {
  return withLogin
    ? Uint8Array.of(version, 2, METHOD.NONE, METHOD.PASSWORD)
    : Uint8Array.of(version, 1, METHOD.NONE);
}

/** The method that the proxy chose. Throws UPSTREAM_PROXY_ANSWER. */
export function decodeChoice(bytes: Uint8Array): Decoded<number> {
  const [said, method] = bytes;
  if (said !== undefined && said !== version) throw invalid("it does not speak SOCKS 5");
  return method === undefined ? undefined : { value: method, length: 2 };
}

/** Each of both at most 255 bytes. */
export function encodeLogin(user: Uint8Array, password: Uint8Array): Uint8Array {
  return Buffer.concat([
    Uint8Array.of(loginVersion, user.length),
    user,
    Uint8Array.of(password.length),
    password,
  ]);
}

/** Whether it let us in. Throws UPSTREAM_PROXY_ANSWER. */
export function decodeLoginAnswer(bytes: Uint8Array): Decoded<boolean> {
  const [said, status] = bytes;
  if (said !== undefined && said !== loginVersion) throw invalid("its answer to the login is malformed");
  return status === undefined ? undefined : { value: status === 0, length: 2 };
}

const CONNECT = 1;
const ADDRESS = { IPV4: 1, NAME: 3, IPV6: 4 } as const;

/** Names are resolved by the proxy. */
export function encodeConnect({ host, port }: HostPort, addressBytes: Uint8Array | undefined): Uint8Array {
  const name = Buffer.from(host, "latin1");
  const address =
    addressBytes === undefined
      ? [Uint8Array.of(ADDRESS.NAME, name.length), name]
      : [Uint8Array.of(isIPv4(host) ? ADDRESS.IPV4 : ADDRESS.IPV6), addressBytes];
  return Buffer.concat([
    Uint8Array.of(version, CONNECT, 0),
    ...address,
    Uint8Array.of(port >> 8, port & 255),
  ]);
}

/** The bytes of an address; undefined for a name. */
export function addressBytesOf(host: string): Uint8Array | undefined {
  if (isIPv4(host)) return Uint8Array.from(host.split("."), Number);
  if (!isIPv6(host)) return undefined;
  const plain = new URL(`http://[${host.replace(/%.*$/, "")}]`).hostname.slice(1, -1);
  const [head = "", tail = ""] = plain.split("::");
  const groups = (text: string): string[] => (text === "" ? [] : text.split(":"));
  const [before, after] = [groups(head), plain.includes("::") ? groups(tail) : []];
  const zeros = Array<string>(8 - before.length - after.length).fill("0");
  const bytes = [...before, ...zeros, ...after].flatMap((group) => {
    const value = Number.parseInt(group, 16);
    return [value >> 8, value & 255];
  });
  return Uint8Array.from(bytes);
}

/** The proxy's reply code; 0 is success. Throws UPSTREAM_PROXY_ANSWER. */
export function decodeReply(bytes: Uint8Array): Decoded<number> {
  const [said, code, , type, nameLength] = bytes;
  if (said !== undefined && said !== version) throw invalid("its reply is malformed");
  if (code === undefined || type === undefined || nameLength === undefined) return undefined;
  const size = { [ADDRESS.IPV4]: 4, [ADDRESS.IPV6]: 16, [ADDRESS.NAME]: nameLength + 1 }[type];
  if (size === undefined) throw invalid("its reply has an unknown type of address");
  const length = 4 + size + 2;
  return bytes.length < length ? undefined : { value: code, length };
}

/** RFC 1928, section 6. */
export function reasonOf(code: number): string {
  const reasons = [
    "it is done",
    "the proxy failed",
    "its rules do not allow it",
    "the network cannot be reached",
    "the host cannot be reached",
    "the connection was refused",
    "it took too long",
    "it does not know the command",
    "it does not know this type of address",
  ];
  return reasons[code] ?? `reply ${code}`;
}

function invalid(detail: string): Error {
  return new dialerErrors.UPSTREAM_PROXY_ANSWER(detail);
}

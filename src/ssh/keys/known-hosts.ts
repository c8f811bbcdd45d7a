import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { PosternError } from "#base";
import { checkCertificate } from "./certificate-check.ts";
import { keyErrors } from "./errors.ts";
import { isKeyTypeName, parsePlainKeyLine } from "./key-line.ts";
import { matchHostName } from "./patterns.ts";
import type { Certificate, LineWarning, PublicKey } from "./shapes.ts";

const sshPort = 22;
const hashMagic = "|1|";
/** SHA-1, as the format has it: it hides names from a reader of the file, it protects nothing else. */
const hashBytes = 20;

export type KnownHostMarker = "none" | "cert-authority" | "revoked";

/** A line of a known_hosts file (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT). */
export interface KnownHost {
  readonly marker: KnownHostMarker;
  /** Patterns or one hashed name, as written. */
  readonly hosts: string;
  readonly key: PublicKey;
  readonly comment: string;
  readonly fileName: string;
  /** Counted from 1. */
  readonly line: number;
}

/** What a file knows of one host, in the order of the file. */
export interface KnownHostMatch {
  /** Keys of the host itself. */
  readonly keys: readonly KnownHost[];
  /** Keys that may certify it. */
  readonly authorities: readonly KnownHost[];
  /** Keys never to be believed for it. */
  readonly revoked: readonly KnownHost[];
}

/** What a file says of a host's key. */
export type HostKeyVerdict =
  | { readonly kind: "known"; readonly entry: KnownHost }
  /** Nothing is known of the host: for "accept-new" to decide. */
  | { readonly kind: "unknown" }
  /** Other keys are known for it. */
  | { readonly kind: "changed"; readonly entries: readonly KnownHost[] }
  | { readonly kind: "revoked"; readonly entry: KnownHost }
  /** A known authority signed it, but it is not good for this host now. */
  | { readonly kind: "certificate-refused"; readonly reason: string; readonly entry: KnownHost };

interface Row extends KnownHost {
  readonly hashed: { readonly salt: Buffer; readonly hash: Buffer } | undefined;
}

/** The parsed content of one known_hosts file, or of several after one another. */
export class KnownHosts {
  /** Lines that were passed over because they are broken; comments and keys of unknown types are no warning. */
  readonly warnings: readonly LineWarning[];
  readonly #rows: readonly Row[];

  constructor(rows: readonly Row[], warnings: readonly LineWarning[]) {
    this.#rows = rows;
    this.warnings = warnings;
  }

  get entries(): readonly KnownHost[] {
    return this.#rows;
  }

  /** Both files, this one first. */
  concat(other: KnownHosts): KnownHosts {
    return new KnownHosts([...this.#rows, ...other.#rows], [...this.warnings, ...other.warnings]);
  }

  /** What is known of exactly this name (or address) and port. */
  lookup(host: string, port: number = sshPort): KnownHostMatch {
    const name = knownHostName(host, port);
    const found = this.#rows.filter((row) => matches(row, name));
    const marked = (marker: KnownHostMarker): readonly KnownHost[] =>
      found.filter((row) => row.marker === marker);
    return { keys: marked("none"), authorities: marked("cert-authority"), revoked: marked("revoked") };
  }

  /**
   * Judges a host's key as ssh(1) does. On another port than 22 a host that is not known by `[host]:port` may be known by its
   * plain name: what is right there counts, what is wrong there does not. A certificate by an authority that is not known is
   * judged by its key. `nowSeconds` is for certificates.
   */
  check(host: string, port: number, key: PublicKey | Certificate, nowSeconds: number): HostKeyVerdict {
    const verdict = judge(this.lookup(host, port), host, key, nowSeconds);
    if (verdict.kind !== "unknown" || port === sshPort) return verdict;
    const plain = judge(this.lookup(host), host, key, nowSeconds);
    return plain.kind === "known" || plain.kind === "revoked" ? plain : verdict;
  }
}

function judge(
  match: KnownHostMatch,
  host: string,
  key: PublicKey | Certificate,
  nowSeconds: number,
): HostKeyVerdict {
  const certificate = "key" in key ? key : undefined;
  const plain = certificate?.key ?? key;
  const revoked = match.revoked.find(
    ({ key: bad }) =>
      sameBlob(bad.blob, plain.blob) || (certificate && sameBlob(bad.blob, certificate.authority.blob)),
  );
  if (revoked !== undefined) return { kind: "revoked", entry: revoked };
  const authority =
    certificate && match.authorities.find((entry) => sameBlob(entry.key.blob, certificate.authority.blob));
  if (certificate !== undefined && authority !== undefined) {
    const reason = checkCertificate(certificate, {
      kind: "host",
      principal: host,
      nowSeconds,
      authorities: [authority.key.blob],
    });
    return reason === undefined
      ? { kind: "known", entry: authority }
      : { kind: "certificate-refused", reason, entry: authority };
  }
  const entry = match.keys.find((known) => sameBlob(known.key.blob, plain.blob));
  if (entry !== undefined) return { kind: "known", entry };
  return match.keys.length > 0 ? { kind: "changed", entries: match.keys } : { kind: "unknown" };
}

function sameBlob(one: Uint8Array, other: Uint8Array): boolean {
  return Buffer.compare(one, other) === 0;
}

/** How known_hosts names a host: in lower case, and with the port as `[host]:port` unless it is 22. */
export function knownHostName(host: string, port: number = sshPort): string {
  const name = host.toLowerCase();
  return port === sshPort ? name : `[${name}]:${port}`;
}

/**
 * Parses a known_hosts file. It never throws: broken lines become `warnings` with their number; lines with keys of types that are
 * not known here, such as DSA or newer than this program, are passed over as ssh(1) does.
 */
export function parseKnownHosts(text: string, fileName: string): KnownHosts {
  const rows: Row[] = [];
  const warnings: LineWarning[] = [];
  for (const [index, content] of text.split("\n").entries()) {
    const line = content.trim();
    if (line === "" || line.startsWith("#")) continue;
    const place = { fileName, line: index + 1 };
    try {
      const row = parseLine(line, place);
      if (row !== undefined) rows.push(row);
    } catch (error) {
      if (!(error instanceof PosternError)) throw error;
      warnings.push({ ...place, reason: error.message });
    }
  }
  return new KnownHosts(rows, warnings);
}

function parseLine(line: string, place: { fileName: string; line: number }): Row | undefined {
  const [, at, hosts, keyText] = /^(?:@(\S*)[ \t]+)?(\S+)[ \t]+(.*)$/.exec(line) ?? [];
  if (hosts === undefined || keyText === undefined)
    throw new keyErrors.OPERATOR_KEY_INVALID("the line is cut off");
  const marker = markerOf(at);
  const [type = "", base64] = keyText.split(/[ \t]+/, 2);
  if (base64 === undefined) throw new keyErrors.OPERATOR_KEY_INVALID("the line is cut off");
  if (!isKeyTypeName(type)) {
    // A name that could be a type is one of the future or of the past; "ssh-rsa" misspelt cannot be told from these.
    if (/^[a-z][\x21-\x7e]+$/.test(type)) return undefined;
    throw new keyErrors.OPERATOR_KEY_INVALID("there is no type of key");
  }
  const { key, comment } = parsePlainKeyLine(keyText);
  return {
    ...place,
    marker,
    hosts,
    key,
    comment,
    hashed: hosts.startsWith("|") ? parseHashed(hosts) : undefined,
  };
}

function markerOf(word: string | undefined): KnownHostMarker {
  if (word === undefined) return "none";
  if (word === "cert-authority" || word === "revoked") return word;
  throw new keyErrors.OPERATOR_KEY_INVALID(`marker @${word.slice(0, 80)} is not known`);
}

function parseHashed(hosts: string): { salt: Buffer; hash: Buffer } {
  const [, salt, hash] = /^\|1\|([A-Za-z0-9+/]{27}=)\|([A-Za-z0-9+/]{27}=)$/.exec(hosts) ?? [];
  if (salt === undefined || hash === undefined) {
    throw new keyErrors.OPERATOR_KEY_INVALID("the hashed host name is malformed");
  }
  return { salt: Buffer.from(salt, "base64"), hash: Buffer.from(hash, "base64") };
}

function matches(row: Row, name: string): boolean {
  if (row.hashed === undefined) return matchHostName(name, row.hosts) === "match";
  return timingSafeEqual(hashName(row.hashed.salt, name), row.hashed.hash);
}

function hashName(salt: Uint8Array, name: string): Buffer {
  return createHmac("sha1", salt).update(name).digest();
}

export interface KnownHostsLine {
  readonly host: string;
  /** Default 22. */
  readonly port?: number;
  readonly key: PublicKey;
  /** Hides the name behind a salted hash (HashKnownHosts). */
  readonly hashed?: boolean;
}

/**
 * A line for a known_hosts file, without line end. Throws BUG_KEY_HOST_NAME for a name with a character that the file would read
 * as something else: the caller checks names that come from a client.
 */
export function formatKnownHostsLine({ host, port = sshPort, key, hashed = false }: KnownHostsLine): string {
  if (!/^[\p{L}\p{N}._:%-]+$/u.test(host))
    throw new keyErrors.BUG_KEY_HOST_NAME(JSON.stringify(host.slice(0, 80)));
  const name = knownHostName(host, port);
  const written = hashed ? hashedName(name) : name;
  return `${written} ${key.type} ${Buffer.from(key.blob).toString("base64")}`;
}

function hashedName(name: string): string {
  const salt = randomBytes(hashBytes);
  return `${hashMagic}${salt.toString("base64")}|${hashName(salt, name).toString("base64")}`;
}

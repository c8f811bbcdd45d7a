import { randomBytes } from "node:crypto";
import { link, mkdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { dirname } from "node:path";
import { PosternError, systemClock } from "#base";
import { AgentSocket, openAgentKey } from "#credential";
import {
  type Certificate,
  formatPrivateKey,
  formatPublicKey,
  generatePrivateKey,
  type KeySigner,
  parsePrivateKey,
  type PrivateKey,
  parsePublicKeyLine,
  type PublicKey,
  signCertificate,
} from "#ssh/keys";
import { appErrors } from "./errors.ts";

/** Who is certified by it: people at the upstreams, or the gateway to its clients. */
export type AuthorityKind = "user" | "host";

/** A public key of an authority, as it stands in a file. */
export interface AuthorityLine {
  readonly key: PublicKey;
  readonly comment: string;
  /** Of before the rotation that is going on. */
  readonly old: boolean;
}

export interface HostCertificateRequest {
  /** Host key files, private or public; the certificate goes beside each. */
  readonly files: readonly string[];
  readonly names: readonly string[];
  readonly validSeconds: number;
}

export interface SignedHostKey {
  /** Where the certificate is. */
  readonly file: string;
  readonly certificate: Certificate;
}

/** Where an authority's key is. `passphrase` is asked for only when the key is locked. */
export type AuthorityKey =
  | { readonly file: string; readonly passphrase: () => Promise<string> }
  | { readonly socket: string; readonly key: string };

const maxFileBytes = 64 * 1024;
/** A person may have to confirm or touch. */
const agentTimeoutMs = 60_000;
/** A host key is certified as of a little ago, for clients whose clock is behind. */
const clockSkewSeconds = 300;

/** Makes a key: the private half in `file` (mode 600), the public one in `file.pub`. Throws OPERATOR_CA_EXISTS. */
export async function initAuthority(
  file: string,
  kind: AuthorityKind,
  passphrase: string,
): Promise<AuthorityLine> {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  if (await exists(file)) throw new appErrors.OPERATOR_CA_EXISTS(file);
  const key = await writePair(file, kind, passphrase);
  return { key: key.publicKey, comment: key.comment, old: false };
}

/** The public keys that others should trust: the current one, and the one of before while a rotation is going on. */
export async function showAuthority(file: string): Promise<AuthorityLine[]> {
  const current = await readPublic(`${file}.pub`);
  if (current === undefined) throw new appErrors.OPERATOR_CA_MISSING(file);
  const old = await readPublic(`${oldOf(file)}.pub`);
  return [{ ...current, old: false }, ...(old === undefined ? [] : [{ ...old, old: true }])];
}

/**
 * Makes a new key and keeps the one of before beside it, until `finishRotation`: a rotation that has gone wrong can be undone.
 * Throws OPERATOR_CA_MISSING, and OPERATOR_CA_ROTATING when one is going on.
 */
export async function rotateAuthority(
  file: string,
  kind: AuthorityKind,
  passphrase: string,
): Promise<AuthorityLine[]> {
  await showAuthority(file);
  if (await exists(oldOf(file))) throw new appErrors.OPERATOR_CA_ROTATING(file);
  const next = `${file}.new`;
  // Left over from a run that was cut short; nobody has seen it.
  for (const path of [next, `${next}.pub`]) await rm(path, { force: true });
  await writePair(next, kind, passphrase);
  // At every moment there is a key in `file`: links first, then the names change hands.
  for (const suffix of ["", ".pub"]) await linkOver(`${file}${suffix}`, `${oldOf(file)}${suffix}`);
  for (const suffix of [".pub", ""]) await rename(`${next}${suffix}`, `${file}${suffix}`);
  return await showAuthority(file);
}

/** Forgets the key of before. Throws OPERATOR_CA_MISSING if there is none. */
export async function finishRotation(file: string): Promise<AuthorityLine> {
  const old = await readPublic(`${oldOf(file)}.pub`);
  if (old === undefined) throw new appErrors.OPERATOR_CA_MISSING(`${oldOf(file)}: no rotation is going on`);
  for (const suffix of ["", ".pub"]) await rm(`${oldOf(file)}${suffix}`, { force: true });
  return { ...old, old: true };
}

/** Certifies host keys: `KEY-cert.pub` beside each, replaced at once. */
export async function signHostKeys(
  authority: AuthorityKey,
  { files, names, validSeconds }: HostCertificateRequest,
): Promise<SignedHostKey[]> {
  const signer = await openAuthority(authority);
  const nowSeconds = Math.floor(systemClock.now() / 1000);
  const signed: SignedHostKey[] = [];
  for (const path of files) {
    const key = await readHostPublic(path);
    const certificate = await signCertificate(
      {
        kind: "host",
        key,
        serial: randomBytes(8).readBigUInt64BE(),
        keyId: `${names[0] ?? ""} by ${hostname()}`,
        principals: names,
        validAfter: BigInt(nowSeconds - clockSkewSeconds),
        validBefore: BigInt(Math.ceil(nowSeconds + validSeconds)),
      },
      signer,
    );
    const file = `${path.replace(/\.pub$/, "")}-cert.pub`;
    await replace(file, `${formatPublicKey(certificate.blob, names.join(","))}\n`);
    signed.push({ file, certificate });
  }
  return signed;
}

function oldOf(file: string): string {
  return `${file}.old`;
}

async function writePair(file: string, kind: AuthorityKind, passphrase: string): Promise<PrivateKey> {
  const key = generatePrivateKey("ssh-ed25519", `postern ${kind} CA ${hostname()}`);
  await write(file, await formatPrivateKey(key, passphrase), 0o600);
  await write(`${file}.pub`, `${formatPublicKey(key.publicKey.blob, key.comment)}\n`, 0o644);
  return key;
}

async function openAuthority(authority: AuthorityKey): Promise<KeySigner> {
  if ("socket" in authority) {
    const { socket, key } = authority;
    return await openAgentKey(
      new AgentSocket({ socket, timeoutMs: agentTimeoutMs, clock: systemClock }),
      key,
    );
  }
  const { file, passphrase } = authority;
  const text = await readSmall(file);
  if (text === undefined) throw new appErrors.OPERATOR_CA_MISSING(file);
  try {
    return await parsePrivateKey(text);
  } catch (error) {
    if (!(error instanceof PosternError && error.code === "OPERATOR_KEY_PASSPHRASE_NEEDED")) throw error;
    return await parsePrivateKey(text, await passphrase());
  }
}

async function readPublic(file: string): Promise<{ key: PublicKey; comment: string } | undefined> {
  const text = await readSmall(file);
  if (text === undefined) return undefined;
  const { key, comment } = parsePublicKeyLine(text.trim());
  return { key: "key" in key ? key.key : key, comment };
}

/** The key of a host key file, or of its public half. */
async function readHostPublic(path: string): Promise<PublicKey> {
  const text = await readSmall(path);
  if (text === undefined) throw new appErrors.OPERATOR_HOST_KEY_MISSING(path);
  if (text.includes("PRIVATE KEY-----")) return (await parsePrivateKey(text)).publicKey;
  const { key } = parsePublicKeyLine(text.trim());
  if ("key" in key)
    throw new appErrors.OPERATOR_HOST_CERTIFICATE_UNUSABLE(`${path}: it is a certificate, not a key`);
  return key;
}

async function readSmall(path: string): Promise<string | undefined> {
  try {
    const bytes = await readFile(path);
    if (bytes.length <= maxFileBytes) return bytes.toString("latin1");
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code === "ENOENT") return undefined;
    throw new appErrors.OPERATOR_FILE_UNREADABLE(`${path}: ${message}`, { cause });
  }
  throw new appErrors.OPERATOR_FILE_UNREADABLE(`${path}: too large for a key`);
}

async function exists(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    (error: NodeJS.ErrnoException) => error.code !== "ENOENT",
  );
}

/** A new file, never through a link that somebody has put there. */
async function write(file: string, text: string, mode: number): Promise<void> {
  try {
    await writeFile(file, text, { flag: "wx", mode });
  } catch (cause) {
    throw new appErrors.OPERATOR_FILE_UNWRITABLE(`${file}: ${(cause as Error).message}`, { cause });
  }
}

async function linkOver(from: string, to: string): Promise<void> {
  await rm(to, { force: true });
  await link(from, to).catch((cause: Error) => {
    throw new appErrors.OPERATOR_FILE_UNWRITABLE(`${to}: ${cause.message}`, { cause });
  });
}

/** Whoever reads it sees the old text or the new one, never half of it. */
async function replace(file: string, text: string): Promise<void> {
  const next = `${file}.new`;
  await rm(next, { force: true });
  await write(next, text, 0o644);
  await rename(next, file);
}

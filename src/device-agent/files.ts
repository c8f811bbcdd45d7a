import { createHash, randomBytes } from "node:crypto";
import { chmod, mkdir, open, readFile, rename, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { hostname } from "node:os";
import { PosternError, Secret } from "#base";
import {
  fingerprint,
  formatPrivateKey,
  formatPublicKey,
  generatePrivateKey,
  parsePrivateKey,
} from "#ssh/keys";
import { agentErrors } from "./errors.ts";

/** More than a key or token of ours is. */
const maxFileBytes = 64 * 1024;
const tokenBytes = 32;

/** The fingerprint of the device's key, which is made when there is none. Throws OPERATOR_AGENT_FILE. */
export async function ensureKey(file: string): Promise<string> {
  const text = await readPrivate(file);
  if (text !== undefined) {
    try {
      return fingerprint((await parsePrivateKey(text)).publicKey.blob);
    } catch (error) {
      if (!(error instanceof PosternError)) throw error;
      throw unusable(file, `it holds no private key that can be used: ${error.message}`, error);
    }
  }
  const key = generatePrivateKey("ssh-ed25519", `postern-agent@${hostname()}`);
  await writePrivate(file, await formatPrivateKey(key, ""), 0o600);
  await writePrivate(`${file}.pub`, `${formatPublicKey(key.publicKey.blob, key.comment)}\n`, 0o644);
  return fingerprint(key.publicKey.blob);
}

/** SHA-256 of the token that the service on board asks for, which is made when there is none. Throws OPERATOR_AGENT_FILE. */
export async function ensureServiceToken(file: string): Promise<Secret> {
  const found = (await readPrivate(file))?.trim();
  const token = found ?? randomBytes(tokenBytes).toString("base64url");
  if (found === undefined) await writePrivate(file, `${token}\n`, 0o600);
  else if (found.length < tokenBytes) throw unusable(file, `a token has ${tokenBytes} characters or more`);
  return tokenDigest(token);
}

/** Digests have one length, so comparing them tells nothing. */
export function tokenDigest(token: string): Secret {
  return new Secret(createHash("sha256").update(token).digest());
}

async function readPrivate(file: string): Promise<string | undefined> {
  try {
    const { mode, size } = await stat(file);
    if ((mode & 0o077) !== 0)
      throw unusable(file, `others may read it; take that right away: chmod 600 ${file}`);
    if (size > maxFileBytes) throw unusable(file, "it is too large");
    return await readFile(file, "utf8");
  } catch (error) {
    if (error instanceof PosternError) throw error;
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return undefined;
    throw unusable(file, message, error);
  }
}

/** Whole or not at all: power may fail at any moment on a device. */
export async function writePrivate(file: string, text: string, mode: number): Promise<void> {
  const fresh = `${file}.new`;
  try {
    await mkdir(dirname(file), { recursive: true, mode: 0o700 });
    await rm(fresh, { force: true });
    {
      await using handle = await open(fresh, "wx", mode);
      await handle.writeFile(text);
      await handle.sync();
    }
    await chmod(fresh, mode);
    await rename(fresh, file);
  } catch (error) {
    throw unusable(file, `it cannot be written: ${(error as Error).message}`, error);
  }
}

function unusable(file: string, reason: string, cause?: unknown): Error {
  return new agentErrors.OPERATOR_AGENT_FILE(`${file}: ${reason}`, { cause });
}

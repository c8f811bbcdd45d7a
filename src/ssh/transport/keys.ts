import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import {
  cipherAlgorithms,
  type HashName,
  macAlgorithms,
  type PacketOpener,
  type PacketSealer,
} from "#ssh/algorithms";
import { Writer } from "#ssh/wire";
import { transportErrors } from "./errors.ts";
import type { DirectionAlgorithms } from "./negotiate.ts";

/** What the keys of both directions are made from (RFC 4253, section 7.2). */
export interface KeyMaterial {
  readonly hash: HashName;
  /** K, encoded with its length. */
  readonly secret: Uint8Array;
  /** H of this exchange. */
  readonly exchangeHash: Uint8Array;
  /** H of the first exchange. */
  readonly sessionId: Uint8Array;
}

/** Letters of RFC 4253, section 7.2: direction is data, not branches. */
export interface Direction {
  readonly iv: string;
  readonly key: string;
  readonly mac: string;
}

export const toServerLetters: Direction = { iv: "A", key: "C", mac: "E" };
export const toClientLetters: Direction = { iv: "B", key: "D", mac: "F" };

/** One key of `bytes` bytes. The caller wipes it. */
export function deriveKey(material: KeyMaterial, letter: string, bytes: number): Uint8Array {
  const key = Buffer.alloc(bytes);
  let filled = 0;
  while (filled < bytes) {
    const hash = createHash(material.hash).update(material.secret).update(material.exchangeHash);
    if (filled === 0) hash.update(letter, "latin1").update(material.sessionId);
    else hash.update(key.subarray(0, filled));
    const block = hash.digest();
    filled += block.copy(key, filled);
    block.fill(0);
  }
  return key;
}

export function makeOpener(
  material: KeyMaterial,
  letters: Direction,
  algorithms: DirectionAlgorithms,
): PacketOpener {
  return withKeys(material, letters, algorithms, (cipher, key, iv, mac) => cipher.opener(key, iv, mac));
}

export function makeSealer(
  material: KeyMaterial,
  letters: Direction,
  algorithms: DirectionAlgorithms,
): PacketSealer {
  return withKeys(material, letters, algorithms, (cipher, key, iv, mac) => cipher.sealer(key, iv, mac));
}

type CipherRow = NonNullable<ReturnType<typeof cipherAlgorithms.get>>;
type MacRow = NonNullable<ReturnType<typeof macAlgorithms.get>>;

function withKeys<T>(
  material: KeyMaterial,
  letters: Direction,
  algorithms: DirectionAlgorithms,
  make: (
    cipher: CipherRow,
    key: Uint8Array,
    iv: Uint8Array,
    mac?: { algorithm: MacRow; key: Uint8Array },
  ) => T,
): T {
  const cipher = cipherAlgorithms.get(algorithms.cipher);
  if (cipher === undefined) throw new transportErrors.BUG_ENGINE_MISUSED(`no cipher ${algorithms.cipher}`);
  const algorithm = algorithms.mac === undefined ? undefined : macAlgorithms.get(algorithms.mac);
  const key = deriveKey(material, letters.key, cipher.keyBytes);
  const iv = deriveKey(material, letters.iv, cipher.ivBytes);
  const macKey = algorithm === undefined ? undefined : deriveKey(material, letters.mac, algorithm.keyBytes);
  try {
    if (algorithm === undefined || macKey === undefined) return make(cipher, key, iv);
    return make(cipher, key, iv, { algorithm, key: macKey });
  } finally {
    key.fill(0);
    iv.fill(0);
    macKey?.fill(0);
  }
}

/** What the exchange hash covers (RFC 4253, section 8; RFC 4419, section 3; RFC 5656, section 4). */
export interface ExchangeTranscript {
  readonly clientVersion: string;
  readonly serverVersion: string;
  /** Payloads of SSH_MSG_KEXINIT, number included. */
  readonly clientInit: Uint8Array;
  readonly serverInit: Uint8Array;
  readonly hostKey: Uint8Array;
  /** Group exchange only: the sizes asked for and the group, as they are hashed. */
  readonly group?: Uint8Array;
  readonly publicForm: "mpint" | "string";
  readonly clientPublic: Uint8Array;
  readonly serverPublic: Uint8Array;
  readonly secret: Uint8Array;
}

/** H. */
export function exchangeHash(hash: HashName, transcript: ExchangeTranscript): Uint8Array {
  const writer = new Writer(8192)
    .string(Buffer.from(transcript.clientVersion, "latin1"))
    .string(Buffer.from(transcript.serverVersion, "latin1"))
    .string(transcript.clientInit)
    .string(transcript.serverInit)
    .string(transcript.hostKey);
  if (transcript.group !== undefined) writer.raw(transcript.group);
  if (transcript.publicForm === "mpint") writer.mpint(transcript.clientPublic).mpint(transcript.serverPublic);
  else writer.string(transcript.clientPublic).string(transcript.serverPublic);
  return createHash(hash).update(writer.raw(transcript.secret).bytes()).digest();
}

import { chachaPoly } from "./chacha-poly.ts";
import { ctrAlgorithm } from "./ctr.ts";
import { gcmAlgorithm } from "./gcm.ts";
import { nativePackets } from "./native.ts";
import { withNative } from "./native-ciphers.ts";
import type { CipherAlgorithm } from "./packet-cipher.ts";

const rows: readonly CipherAlgorithm[] = [
  gcmAlgorithm("aes128-gcm@openssh.com", "aes-128-gcm", 16),
  gcmAlgorithm("aes256-gcm@openssh.com", "aes-256-gcm", 32),
  chachaPoly,
  ctrAlgorithm("aes128-ctr", 16),
  ctrAlgorithm("aes192-ctr", 24),
  ctrAlgorithm("aes256-ctr", 32),
];

/** Every packet cipher on node:crypto and TypeScript alone, which always works. */
export const pureCiphers: ReadonlyMap<string, CipherAlgorithm> = new Map(rows.map((row) => [row.name, row]));

/**
 * Every packet cipher, the native part doing those it can; the plain one before the first NEWKEYS is not in it and cannot be
 * negotiated.
 */
export const cipherAlgorithms: ReadonlyMap<string, CipherAlgorithm> = new Map(
  rows.map((row) => [row.name, withNative(row, nativePackets)]),
);

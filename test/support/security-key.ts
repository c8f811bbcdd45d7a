import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { askpassEnv } from "./ssh.ts";
import { stranger } from "./strangers.ts";
import { type TempDir, tempDir } from "./temp-dir.ts";
import { type KeyFiles, keyFiles } from "./test-keys.ts";

export const securityKeyKinds = ["ed25519-sk", "ecdsa-sk"] as const;
export type SecurityKeyKind = (typeof securityKeyKinds)[number];

/** Its PIN. */
export const securityPin = "1234";

/** A security key made of software, which OpenSSH's clients use as if it were plugged in. */
export interface SecurityKey extends AsyncDisposable {
  /** For ssh's option SecurityKeyProvider, and `ssh-agent -P`. */
  readonly provider: string;
  /** A key pair that it made; `options` as of `ssh-keygen -O`. */
  key(name: string, kind?: SecurityKeyKind, options?: readonly string[]): KeyFiles;
}

/** Environment of ssh, in which a security key does without what it is asked for. */
export const untouched: Readonly<Record<string, string>> = { POSTERN_TEST_KEY_UNTOUCHED: "1" };
export const unverified: Readonly<Record<string, string>> = { POSTERN_TEST_KEY_UNVERIFIED: "1" };

/** Needs the strangers cc and openssl, whose library it calls. */
export async function securityKey(): Promise<SecurityKey> {
  const folder: TempDir = await tempDir();
  const provider = folder.at("security-key.so");
  const source = join(import.meta.dirname, "security-key.c");
  execFileSync(stranger("cc"), ["-shared", "-fPIC", "-o", provider, source, "-l:libcrypto.so.3"]);
  return {
    provider,
    key: (name, kind = "ed25519-sk", options = []) => {
      const path = folder.at(name);
      const more = options.flatMap((option) => ["-O", option]);
      const flags = ["-q", "-t", kind, "-w", provider, "-N", "", "-C", name, "-f", path, ...more];
      const env = { ...process.env, ...askpassEnv([securityPin]) };
      execFileSync("ssh-keygen", flags, { env, stdio: ["ignore", "ignore", "inherit"] });
      return keyFiles(path);
    },
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  };
}

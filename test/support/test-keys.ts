import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { chmod } from "node:fs/promises";
import { tempDir, type TempDir } from "./temp-dir.ts";

export const keyKinds = ["ed25519", "ecdsa-256", "ecdsa-384", "ecdsa-521", "rsa"] as const;
export type KeyKind = (typeof keyKinds)[number];

/** A key pair in files, made by ssh-keygen. */
export interface KeyFiles {
  /** Private key file. */
  readonly path: string;
  /** One line as in authorized_keys: type, base64, comment. */
  readonly publicLine: string;
  /** "SHA256:…" */
  readonly fingerprint: string;
}

/** Makes a key pair: quick for all kinds but RSA. */
export function makeKey(
  path: string,
  kind: KeyKind = "ed25519",
  passphrase = "",
  more: readonly string[] = [],
): KeyFiles {
  const [type = kind, bits = kind === "rsa" ? "3072" : undefined] = kind.split("-");
  const size = bits === undefined ? [] : ["-b", bits];
  execFileSync("ssh-keygen", [
    "-q",
    "-t",
    type,
    ...size,
    "-N",
    passphrase,
    "-C",
    `test ${kind}`,
    "-f",
    path,
    ...more,
  ]);
  return keyFiles(path);
}

/** A key pair that is there already. */
export function keyFiles(path: string): KeyFiles {
  const fingerprint = execFileSync("ssh-keygen", ["-l", "-f", `${path}.pub`], { encoding: "utf8" }).split(
    " ",
  )[1];
  return { path, publicLine: readFileSync(`${path}.pub`, "utf8").trim(), fingerprint: fingerprint ?? "" };
}

/** Signs a public key by a CA key; gives the path of the certificate. No principals: it names nobody. */
export function certify(
  authority: KeyFiles,
  key: KeyFiles,
  options: {
    readonly host?: boolean;
    readonly principals: readonly string[];
    readonly more?: readonly string[];
  },
): string {
  execFileSync("ssh-keygen", [
    "-q",
    "-s",
    authority.path,
    "-I",
    "test certificate",
    ...(options.principals.length === 0 ? [] : ["-n", options.principals.join(",")]),
    ...(options.host === true ? ["-h"] : []),
    ...(options.more ?? []),
    `${key.path}.pub`,
  ]);
  return `${key.path}-cert.pub`;
}

/** Type and base64 of a public line, without the comment. */
export function bareKey(publicLine: string): string {
  return publicLine.split(" ").slice(0, 2).join(" ");
}

/** A line of known_hosts for an address and port. */
export function knownHostsLine(host: string, port: number, publicLine: string): string {
  return `${port === 22 ? host : `[${host}]:${port}`} ${bareKey(publicLine)}`;
}

export interface TestKeys extends AsyncDisposable {
  readonly folder: TempDir;
  /** The key pair of that kind and name, made at first use. */
  key(kind?: KeyKind, name?: string): KeyFiles;
}

export async function testKeys(): Promise<TestKeys> {
  const folder = await tempDir();
  await chmod(folder.path, 0o755);
  const made = new Map<string, KeyFiles>();
  return {
    folder,
    key: (kind = "ed25519", name = "id") => {
      const file = `${name}_${kind}`;
      const key = made.get(file) ?? makeKey(folder.at(file), kind);
      made.set(file, key);
      return key;
    },
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  };
}

import { plainName } from "#ssh/keys";
import type { Extensions } from "#ssh/messages";
import { latin1 } from "#ssh/wire";

/** `server-sig-algs` of RFC 8308, section 3.1; undefined if the server did not say. */
export function serverSignatureAlgorithms(extensions: Extensions): readonly string[] | undefined {
  const value = extensions.get("server-sig-algs");
  if (value === undefined) return undefined;
  return latin1(value)
    .split(",")
    .filter((name) => name !== "");
}

/** Whether the server takes `publickey-hostbound-v00@openssh.com` (PROTOCOL of OpenSSH). */
export function supportsHostbound(extensions: Extensions): boolean {
  const value = extensions.get("publickey-hostbound@openssh.com");
  return value !== undefined && latin1(value) === "0";
}

/**
 * Which of a key's algorithms (best first) to use with a server; undefined if it takes none of them.
 *
 * Only RSA leaves a choice. A key with one algorithm is always tried: some servers' lists name no more than the new RSA ones.
 * A server that says nothing may be older than SHA-2 for RSA, so `ssh-rsa` is used if the key allows it.
 */
export function chooseSignatureAlgorithm(
  keyAlgorithms: readonly string[],
  serverAlgorithms: readonly string[] | undefined,
): string | undefined {
  const [best] = keyAlgorithms;
  if (keyAlgorithms.length <= 1) return best;
  if (serverAlgorithms === undefined) {
    return keyAlgorithms.find((name) => plainName(name) === "ssh-rsa") ?? best;
  }
  return keyAlgorithms.find(
    (name) => serverAlgorithms.includes(name) || serverAlgorithms.includes(plainName(name)),
  );
}

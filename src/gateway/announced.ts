import { isCertificateType } from "#ssh/keys";
import type { Extensions } from "#ssh/messages";
import type { World } from "./world.ts";

/** Not Buffer.from: a few bytes of Node's pool, kept as long as a session, would keep all 64 KiB of it. */
const utf8 = new TextEncoder();

/** What we can, told to the client in EXT_INFO (RFC 8308; PROTOCOL of OpenSSH for the other two). */
const extensionsFor = new WeakMap<readonly string[], Extensions>();

export function announced(signatureAlgorithms: readonly string[]): Extensions {
  const known = extensionsFor.get(signatureAlgorithms);
  if (known !== undefined) return known;
  const extensions = new Map([
    ["server-sig-algs", utf8.encode(signatureAlgorithms.join(","))],
    ["publickey-hostbound@openssh.com", utf8.encode("0")],
    ["ping@openssh.com", utf8.encode("0")],
  ]);
  extensionsFor.set(signatureAlgorithms, extensions);
  return extensions;
}

/** Clients keep what is announced as plain keys (PROTOCOL of OpenSSH, section 2.5). */
export function plainKeys({ hostKeys }: Pick<World, "hostKeys">): World["hostKeys"] {
  return hostKeys.filter(({ algorithms }) => !algorithms.some(isCertificateType));
}

import type { KexInit } from "#ssh/messages";
import { cipherAlgorithms } from "#ssh/algorithms";
import { transportErrors } from "./errors.ts";

export type Role = "client" | "server";

/** Which algorithms we know and want, each list in order of preference. */
export interface Algorithms {
  readonly kex: readonly string[];
  /** As server: what our host keys can sign with. As client: what we accept, the types already known for this host first. */
  readonly hostKeys: readonly string[];
  readonly ciphers: readonly string[];
  readonly macs: readonly string[];
}

/** What both sides will use. */
export interface Negotiated {
  readonly kex: string;
  readonly hostKey: string;
  readonly toServer: DirectionAlgorithms;
  readonly toClient: DirectionAlgorithms;
}

export interface DirectionAlgorithms {
  readonly cipher: string;
  /** Absent when the cipher authenticates by itself. */
  readonly mac?: string;
}

/** Names in the key exchange list that are flags (RFC 8308, section 2.1; PROTOCOL of OpenSSH, section 1.10). */
export const FLAG = {
  extInfoClient: "ext-info-c",
  extInfoServer: "ext-info-s",
  strictClient: "kex-strict-c-v00@openssh.com",
  strictServer: "kex-strict-s-v00@openssh.com",
} as const;

const flags: ReadonlySet<string> = new Set(Object.values(FLAG));

/** Chooses as RFC 4253, section 7.1 says: the first of the client's names that the server has too. Throws MISMATCH_ALGORITHM. */
export function negotiate(client: KexInit, server: KexInit): Negotiated {
  const kex = choose("key exchange", withoutFlags(client.kex), withoutFlags(server.kex));
  const hostKey = choose("host key", client.hostKeys, server.hostKeys);
  const toServer = direction(
    "to the server",
    [client.ciphersToServer, server.ciphersToServer],
    [client.macsToServer, server.macsToServer],
  );
  const toClient = direction(
    "to the client",
    [client.ciphersToClient, server.ciphersToClient],
    [client.macsToClient, server.macsToClient],
  );
  choose("compression to the server", client.compressionToServer, server.compressionToServer);
  choose("compression to the client", client.compressionToClient, server.compressionToClient);
  return { kex, hostKey, toServer, toClient };
}

/** Whether a packet sent on a guess is to be thrown away (RFC 4253, section 7): either first name differs. */
export function guessedWrong(client: KexInit, server: KexInit): boolean {
  return (
    withoutFlags(client.kex)[0] !== withoutFlags(server.kex)[0] || client.hostKeys[0] !== server.hostKeys[0]
  );
}

function direction(
  way: string,
  ciphers: readonly [readonly string[], readonly string[]],
  macs: readonly [readonly string[], readonly string[]],
): DirectionAlgorithms {
  const cipher = choose(`cipher ${way}`, ...ciphers);
  if (cipherAlgorithms.get(cipher)?.aead === true) return { cipher };
  return { cipher, mac: choose(`MAC ${way}`, ...macs) };
}

function withoutFlags(names: readonly string[]): string[] {
  return names.filter((name) => !flags.has(name));
}

/** Longer than any honest list. The text goes to the log and back to the peer: a stranger must not fill a disk with it. */
const maxShownChars = 1000;

function shown(names: readonly string[]): string {
  const text = names.join(",") || "none";
  return text.length > maxShownChars ? `${text.slice(0, maxShownChars)}…` : text;
}

function choose(what: string, client: readonly string[], server: readonly string[]): string {
  const offered = new Set(server);
  const chosen = client.find((name) => offered.has(name));
  if (chosen !== undefined) return chosen;
  const offers = `client offers ${shown(client)}; server offers ${shown(server)}`;
  throw new transportErrors.MISMATCH_ALGORITHM(`${what}: ${offers}`, {
    user: `There is no ${what} algorithm that both sides know: ${offers}.`,
  });
}

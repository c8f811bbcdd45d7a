import { type DhGroup, dhMethod, isInsideGroup, rfc3526Group, withoutLeadingZeros } from "./dh.ts";
import { algorithmErrors } from "./errors.ts";
import type { GroupExchange, KexMethod } from "./kex-method.ts";

const hash = "sha256";
const name = `diffie-hellman-group-exchange-${hash}`;
/** OpenSSH's DH_GRP_MIN and DH_GRP_MAX. RFC 8270 asks for the lower one. */
const minBits = 2048;
const maxBits = 8192;
/** As strong as AES-128 (SP 800-57, part 1); a peer that cares for more has better methods. */
const preferredBits = 3072;

/** Our own primes, the smallest first. Well known ones: a table of our own making could not be checked by anybody. */
const groups: readonly DhGroup[] = ([14, 15, 16, 17, 18] as const).map((number) => rfc3526Group(number));

function bitsOf(magnitude: Uint8Array): number {
  return magnitude.length === 0 ? 0 : magnitude.length * 8 - Math.clz32(magnitude[0] ?? 0) + 24;
}

function methodFor(prime: Uint8Array, generator: Uint8Array): KexMethod {
  const p = withoutLeadingZeros(prime);
  const g = withoutLeadingZeros(generator);
  const bits = bitsOf(p);
  if (bits < minBits || bits > maxBits) {
    throw new algorithmErrors.PEER_KEX_VALUE(`prime of ${bits} bits, not ${minBits} to ${maxBits}`);
  }
  // Whether it is a safe prime is not tried: that takes seconds, and the signature vouches for whoever chose it.
  if (((p.at(-1) ?? 0) & 1) === 0) throw new algorithmErrors.PEER_KEX_VALUE("the prime is even");
  if (!isInsideGroup(g, p)) throw new algorithmErrors.PEER_KEX_VALUE("generator outside 2 … p-2");
  const known = groups.find((group) => sameGroup(group, p, g));
  return dhMethod(name, hash, known ?? { prime: p, generator: g, known: false });
}

function sameGroup(group: DhGroup, prime: Uint8Array, generator: Uint8Array): boolean {
  return Buffer.compare(group.prime, prime) === 0 && Buffer.compare(group.generator, generator) === 0;
}

/** The smallest prime that is no smaller than `preferred`, else the largest below it (RFC 4419, section 3). */
function choose(min: number, preferred: number, max: number): DhGroup | undefined {
  if (min > max || preferred < min || preferred > max) return undefined;
  const fitting = groups.filter(({ prime }) => bitsOf(prime) >= min && bitsOf(prime) <= max);
  return fitting.find(({ prime }) => bitsOf(prime) >= preferred) ?? fitting.at(-1);
}

/** RFC 4419 with SHA-256; the form with SHA-1 is not offered. */
export const groupExchangeSha256: GroupExchange = {
  name,
  hash,
  minBits,
  preferredBits,
  maxBits,
  methodFor,
  choose,
};

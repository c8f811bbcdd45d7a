import { createHash } from "node:crypto";
import type { PoolPlan } from "#contract";

/** How an address is, as far as choosing goes. */
export interface Candidate {
  readonly address: string;
  /** Connections at once. */
  readonly sessions: number;
  /** 0 < weight ≤ 1: less while it starts slowly. */
  readonly weight: number;
  /** It could not be connected to a moment ago. */
  readonly failedLately: boolean;
  /** For round-robin: what it has been owed so far. */
  credit: number;
}

/** The one to try next, of at least one. `random` gives 0 ≤ x < 1. */
export function choose<T extends Candidate>(
  { balance, sticky }: Pick<PoolPlan, "balance" | "sticky">,
  all: readonly [T, ...T[]],
  key: string | undefined,
  random: () => number,
): T {
  const good = all.filter(({ failedLately }) => !failedLately);
  const [first, ...rest] = good.length > 0 ? good : all;
  const candidates: readonly [T, ...T[]] = [first ?? all[0], ...rest];
  if (sticky !== undefined && key !== undefined) return byHash(candidates, key);
  switch (balance) {
    case "first":
      return candidates[0];
    case "random":
      return byChance(candidates, random);
    case "round-robin":
      return inTurn(candidates);
    case "least-sessions":
      return leastBusy(candidates);
  }
}

/**
 * Rendezvous hashing (Thaler and Ravishankar, 1998): every process and every start comes to the same address without remembering
 * any, and when one goes, only its own move.
 */
function byHash<T extends Candidate>(candidates: readonly [T, ...T[]], key: string): T {
  return best(candidates, ({ address }) =>
    createHash("sha256").update(`${key}\0${address}`).digest().readUIntBE(0, 6),
  );
}

function byChance<T extends Candidate>(candidates: readonly [T, ...T[]], random: () => number): T {
  let left = random() * candidates.reduce((sum, { weight }) => sum + weight, 0);
  for (const each of candidates) {
    left -= each.weight;
    if (left < 0) return each;
  }
  return candidates[0];
}

/** Each gets its weight on credit at every turn; who has most pays for all. So turns are even, and no address has two in a row. */
function inTurn<T extends Candidate>(candidates: readonly [T, ...T[]]): T {
  for (const each of candidates) each.credit += each.weight;
  const next = best(candidates, ({ credit }) => credit);
  next.credit -= candidates.reduce((sum, { weight }) => sum + weight, 0);
  return next;
}

/** Those that are equally busy take turns. */
function leastBusy<T extends Candidate>(candidates: readonly [T, ...T[]]): T {
  const load = ({ sessions, weight }: T): number => (sessions + 1) / weight;
  const least = Math.min(...candidates.map(load));
  const [first, ...rest] = candidates.filter((each) => load(each) === least);
  return inTurn([first ?? candidates[0], ...rest]);
}

function best<T>([first, ...rest]: readonly [T, ...T[]], worth: (each: T) => number): T {
  let found = first;
  let most = worth(first);
  for (const each of rest) {
    const value = worth(each);
    if (value <= most) continue;
    found = each;
    most = value;
  }
  return found;
}

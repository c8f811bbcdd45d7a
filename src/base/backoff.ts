export interface Backoff {
  readonly firstMs: number;
  readonly maxMs: number;
}

/** Beyond this the product is above any maximum, and numbers stay exact. */
const maxDoublings = 30;

/**
 * Milliseconds before the next try, after so many failures in a row (1 is the first). Doubled each time up to a maximum, of which chance
 * takes up to half: a crowd that lost its gateway together should not come back together. `chance` is 0 to 1.
 */
export function retryDelayMs(failures: number, { firstMs, maxMs }: Backoff, chance: number): number {
  const doublings = Math.min(Math.max(failures - 1, 0), maxDoublings);
  return Math.min(maxMs, firstMs * 2 ** doublings) * (0.5 + 0.5 * chance);
}

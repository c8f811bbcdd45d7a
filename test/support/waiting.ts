import { setTimeout as pause } from "node:timers/promises";

/** How long a test waits for an event before it fails, when the caller names no other bound. */
export const patienceMs: number = 60_000;

/** The promise's value, or a failure that says what was waited for. */
export async function within<T>(
  what: string,
  promise: Promise<T>,
  deadlineMs: number = patienceMs,
): Promise<T> {
  const giveUp = new AbortController();
  const late = pause(deadlineMs, undefined, { signal: giveUp.signal }).then(() => {
    throw new Error(`waited ${deadlineMs} ms for ${what}`);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    late.catch(() => undefined);
    giveUp.abort();
  }
}

/**
 * Looks again and again at a thing that tells nobody when it changes (a file, /proc), until `look` gives something other than
 * undefined or false.
 */
export async function until<T>(
  what: string,
  look: () => T | undefined | false | Promise<T | undefined | false>,
  deadlineMs: number = patienceMs,
): Promise<T> {
  const end = performance.now() + deadlineMs;
  for (;;) {
    const seen = await look();
    if (seen !== undefined && seen !== false) return seen;
    if (performance.now() > end) throw new Error(`waited ${deadlineMs} ms for ${what}`);
    await pause(20);
  }
}

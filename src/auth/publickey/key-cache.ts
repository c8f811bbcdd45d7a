import { type Clock, type Log, PosternError } from "#base";
import type { AuthorizedKey } from "#ssh/keys";

export interface KeyCacheOptions {
  /** How long an answer holds. */
  readonly freshMs: number;
  /** How much longer it is taken where no new one is to be had. */
  readonly staleMs: number;
  readonly clock: Clock;
  readonly log: Log;
}

interface Entry {
  keys: readonly AuthorizedKey[] | undefined;
  /** When the keys came. */
  atMs: number;
  /** Not asked again before this. */
  retryAtMs: number;
}

/** Answers with keys, and apart from them those without: names that strangers make up push out nobody's keys. */
const maxAnswers = 1000;

/** A source that failed is left alone so long, for the same question. */
const retryMs = 5000;

/** Of what a refusal may take longer than it must, to look like a question that was asked anew. */
const maxPaceMs = 2000;

/**
 * Keys that come from elsewhere, by the question that they answer. Each question is under way once at a time. When the source is
 * down, the last answer holds for the stated time; then nobody has a key there.
 */
export class KeyCache {
  readonly #options: KeyCacheOptions;
  readonly #found = new Map<string, Entry>();
  readonly #empty = new Map<string, Entry>();
  readonly #pending = new Map<string, Promise<readonly AuthorizedKey[]>>();
  #lastMs = 0;

  constructor(options: KeyCacheOptions) {
    this.#options = options;
  }

  /** Never throws what `ask` throws. Time is counted by the clock that never goes back. */
  async of(
    question: string,
    ask: () => Promise<readonly AuthorizedKey[]>,
  ): Promise<readonly AuthorizedKey[]> {
    const now = this.#options.clock.monotonic();
    const known = this.#found.get(question) ?? this.#empty.get(question);
    if (known !== undefined && known.keys !== undefined && now < known.atMs + this.#options.freshMs)
      return known.keys;
    if (known !== undefined && now < known.retryAtMs) return this.#stale(known, now);
    const pending = this.#pending.get(question);
    if (pending !== undefined) return await pending;
    const asked = this.#ask(question, known, ask);
    this.#pending.set(question, asked);
    try {
      return await asked;
    } finally {
      this.#pending.delete(question);
    }
  }

  /** How long a refusal takes at least, counted from the beginning of the attempt: as if the source had been asked. */
  get paceMs(): number {
    return Math.min(this.#lastMs, maxPaceMs);
  }

  async #ask(
    question: string,
    known: Entry | undefined,
    ask: () => Promise<readonly AuthorizedKey[]>,
  ): Promise<readonly AuthorizedKey[]> {
    const { clock, log } = this.#options;
    const startedMs = clock.monotonic();
    try {
      const keys = await ask();
      const now = clock.monotonic();
      this.#lastMs = now - startedMs;
      this.#keep(question, { keys, atMs: now, retryAtMs: 0 });
      return keys;
    } catch (error) {
      if (!(error instanceof PosternError)) throw error;
      const now = clock.monotonic();
      const failed = { keys: known?.keys, atMs: known?.atMs ?? 0, retryAtMs: now + retryMs };
      this.#keep(question, failed);
      const keys = this.#stale(failed, now);
      log.warn("key-source-failed", { error, lastAnswer: keys.length > 0 ? "used" : "none" });
      return keys;
    }
  }

  #stale({ keys = [], atMs }: Entry, now: number): readonly AuthorizedKey[] {
    const { freshMs, staleMs } = this.#options;
    return now < atMs + freshMs + staleMs ? keys : [];
  }

  #keep(question: string, entry: Entry): void {
    this.#found.delete(question);
    this.#empty.delete(question);
    const kept = (entry.keys?.length ?? 0) > 0 ? this.#found : this.#empty;
    kept.set(question, entry);
    if (kept.size <= maxAnswers) return;
    for (const oldest of kept.keys()) {
      kept.delete(oldest);
      break;
    }
  }
}

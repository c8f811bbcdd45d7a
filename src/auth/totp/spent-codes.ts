import { createHmac, hash } from "node:crypto";
import { join } from "node:path";
import type { Secret } from "#base";
import type { FileUpdater } from "#contract";
import * as z from "zod";
import { totpErrors } from "./errors.ts";

/** Wrong codes in a row that cost nothing: people mistype, and clocks turn. */
export const freeWrongCodes = 5;

/** The next wrong code makes its user wait this long, each further one twice as long as the one before. */
const firstWaitMs = 30_000;
export const maxWaitMs = 3_600_000;

const stateSchema = z.strictObject({
  /** A digest of the secret that the rest is about: a new secret begins anew. */
  of: z.string(),
  /** The newest period a code of which was taken. */
  spent: z.int().min(-1),
  /** Wrong codes since a right one. */
  wrong: z.int().min(0),
  /** When the last of them came, in milliseconds since 1970. */
  lastMs: z.number(),
});

type State = Readonly<z.infer<typeof stateSchema>>;

export type Spending =
  | { readonly kind: "accepted" }
  | { readonly kind: "wrong" }
  /** The code, or a later one, has been taken before. */
  | { readonly kind: "replayed" }
  | { readonly kind: "waiting"; readonly seconds: number };

/**
 * Remembers which codes were taken, so that none is taken twice (RFC 6238, section 5.2), and how many wrong ones came in a row: one
 * small file for each user, changed whole and durably before the answer is given, and shared by all workers.
 */
export class SpentCodes {
  readonly #files: FileUpdater;
  readonly #directory: string;

  constructor(files: FileUpdater, stateDir: string) {
    this.#files = files;
    this.#directory = join(stateDir, "totp");
  }

  /** Judges an attempt: `step` is the period that its code belongs to, undefined for a wrong one. Throws OPERATOR_ errors. */
  async spend(user: string, secret: Secret, step: number | undefined, nowMs: number): Promise<Spending> {
    const of = createHmac("sha256", secret.reveal()).update("postern spent codes").digest("base64url");
    let outcome: Spending = { kind: "wrong" };
    await this.#files.update(this.#path(user), (text) => {
      const found = parse(text);
      const state = found?.of === of ? found : { of, spent: -1, wrong: 0, lastMs: 0 };
      const waitMs = state.lastMs + waitAfter(state.wrong) - nowMs;
      // A clock that was set back must not lock anybody out for longer than the wait itself.
      if (waitMs > 0 && state.lastMs <= nowMs) {
        outcome = { kind: "waiting", seconds: Math.ceil(waitMs / 1000) };
        return undefined;
      }
      if (step !== undefined && step > state.spent) {
        outcome = { kind: "accepted" };
        return format({ of, spent: step, wrong: 0, lastMs: nowMs });
      }
      outcome = { kind: step === undefined ? "wrong" : "replayed" };
      return format({ of, spent: state.spent, wrong: state.wrong + 1, lastMs: nowMs });
    });
    return outcome;
  }

  /** Lets a user try again at once. */
  async forgive(user: string): Promise<void> {
    await this.#files.update(this.#path(user), (text) => {
      const state = parse(text);
      return state === undefined ? undefined : format({ ...state, wrong: 0 });
    });
  }

  #path(user: string): string {
    return join(this.#directory, `${hash("sha256", user).slice(0, 32)}.json`);
  }
}

function waitAfter(wrong: number): number {
  if (wrong < freeWrongCodes) return 0;
  return Math.min(maxWaitMs, firstWaitMs * 2 ** Math.min(20, wrong - freeWrongCodes));
}

function parse(text: string): State | undefined {
  if (text === "") return undefined;
  try {
    return stateSchema.parse(JSON.parse(text));
  } catch (cause) {
    throw new totpErrors.OPERATOR_CODE_STATE_INVALID(undefined, { cause });
  }
}

function format(state: State): string {
  return `${JSON.stringify(state)}\n`;
}

import type { SftpReply } from "#ssh/sftp";
import type { Asking, Replies } from "./plan.ts";

/** Questions of our own that are with the upstream, and what it said to those that it has answered. */
export class Questions {
  readonly numbers: readonly number[];
  readonly #early: Asking["early"];
  readonly #replies: (SftpReply | undefined)[];
  #missing: number;

  /** `numbers`: of each question in turn. */
  constructor(numbers: readonly number[], early: Asking["early"]) {
    this.numbers = numbers;
    this.#early = early;
    this.#replies = numbers.map(() => undefined);
    this.#missing = numbers.length;
  }

  /** The place of the question of this number that is not answered yet; -1: there is none. */
  find(id: number): number {
    const at = this.numbers.indexOf(id);
    return at >= 0 && this.#replies[at] === undefined ? at : -1;
  }

  /** The reply to the question at this place. Returns what the client is to have of it at once. */
  take(at: number, reply: SftpReply): SftpReply | undefined {
    this.#replies[at] = reply;
    this.#missing--;
    return at === 0 && this.#missing > 0 ? this.#early?.(reply) : undefined;
  }

  /** All replies, in the order of the questions; undefined while one is missing. */
  get replies(): Replies | undefined {
    return this.#missing === 0 ? this.#replies : undefined;
  }
}

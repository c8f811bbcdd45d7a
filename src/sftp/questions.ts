import type { SftpReply } from "#ssh/sftp";
import type { Asking, Replies } from "./plan.ts";

/** Questions of our own that are with the upstream, and what it said to those that it has answered. */
export class Questions {
  readonly numbers: readonly number[];
  readonly #as: number | undefined;
  readonly #replies: (SftpReply | undefined)[];
  #missing: number;

  /** `next` gives a number that is free, another each time. */
  constructor({ ask, as }: Asking, next: () => number) {
    const besides = (number: number): number => (number === as ? next() : number);
    this.numbers = ask.map((_, at) => (at === 0 && as !== undefined ? as : besides(next())));
    this.#as = as;
    this.#replies = ask.map(() => undefined);
    this.#missing = ask.length;
  }

  /** The place of the question of this number that is not answered yet; -1: there is none. */
  find(id: number): number {
    const at = this.numbers.indexOf(id);
    return at >= 0 && this.#replies[at] === undefined ? at : -1;
  }

  /** The reply to the question at this place. Returns whether it goes on to the client. */
  take(at: number, reply: SftpReply): boolean {
    this.#replies[at] = reply;
    this.#missing--;
    return at === 0 && this.#as !== undefined && reply.kind === "handle";
  }

  /** All replies, in the order of the questions; undefined while one is missing. */
  get replies(): Replies | undefined {
    return this.#missing === 0 ? this.#replies : undefined;
  }
}

import { connectionErrors } from "./errors.ts";

interface Slot<T> {
  answer: { readonly value: T } | undefined;
}

/** Sends answers in the order of the questions, whenever each becomes known (RFC 4254, sections 4 and 5.4). */
export class AnswerQueue<T> {
  readonly #slots: Slot<T>[] = [];
  readonly #limit: number;
  readonly #send: (answer: T) => void;
  readonly #failed: (error: unknown) => void;

  /** `failed` is told when a promised answer is rejected; nothing is sent then or later. */
  constructor(limit: number, send: (answer: T) => void, failed: (error: unknown) => void) {
    this.#limit = limit;
    this.#send = send;
    this.#failed = failed;
  }

  get length(): number {
    return this.#slots.length;
  }

  /** Throws PEER_REQUESTS_FLOODED unless one more question may be put. */
  expectRoom(): void {
    if (this.#slots.length >= this.#limit) {
      throw new connectionErrors.PEER_REQUESTS_FLOODED(`${this.#limit} unanswered`);
    }
  }

  add(answer: T | Promise<T>): void {
    if (!(answer instanceof Promise)) {
      if (this.#slots.length === 0) this.#send(answer);
      else this.#slots.push({ answer: { value: answer } });
      return;
    }
    const slot: Slot<T> = { answer: undefined };
    this.#slots.push(slot);
    void this.#await(slot, answer);
  }

  async #await(slot: Slot<T>, answer: Promise<T>): Promise<void> {
    try {
      slot.answer = { value: await answer };
      this.#sendKnown();
    } catch (error) {
      this.#failed(error);
    }
  }

  #sendKnown(): void {
    for (;;) {
      const answer = this.#slots[0]?.answer;
      if (answer === undefined) return;
      this.#slots.shift();
      this.#send(answer.value);
    }
  }
}

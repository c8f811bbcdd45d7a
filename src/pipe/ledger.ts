import { pipeErrors } from "./errors.ts";

/** Global requests of one side that may wait for an answer; OpenSSH sends one for each `-R`, all at once. */
export const maxUnansweredRequests: number = 4096;

/** An answer owed to one side, in its place in the order of that side's requests. */
export interface Owed {
  /** Set when known; sent when all before it are. */
  answer: Uint8Array | undefined;
}

/** A request of our own: called when it is answered, if anybody wants to know. */
export type OwnRequest = (() => void) | undefined;

/**
 * Answers to global requests carry no number: only their order says which request they belong to (RFC 4254, section 4). One
 * ledger for each connection remembers what we sent to it that it must answer, and which answers it is owed. Requests of one
 * channel (section 5.4) are of the same kind, with a ledger for each.
 */
export class Ledger {
  readonly #send: (answer: Uint8Array) => void;
  /** Requests sent to this side: on the other side's behalf with what that side is owed, or our own. */
  #asked: (Owed | OwnRequest)[] = [];
  #owed: Owed[] = [];

  /** `send` sends an answer to this side. */
  constructor(send: (answer: Uint8Array) => void) {
    this.#send = send;
  }

  /** A request was sent to this side. */
  ask(behalf: Owed | OwnRequest): void {
    this.#asked.push(behalf);
  }

  /** Whether this side has an answer to give. */
  get awaiting(): boolean {
    return this.#asked.length > 0;
  }

  /** This side answered: whom it concerns; undefined if it was a request of ours. Throws PEER_UNASKED_ANSWER. */
  answered(): Owed | undefined {
    if (this.#asked.length === 0) throw new pipeErrors.PEER_UNASKED_ANSWER();
    const behalf = this.#asked.shift();
    if (typeof behalf !== "function") return behalf;
    behalf();
    return undefined;
  }

  /** This side made a request that wants an answer. Throws PEER_TOO_MANY_REQUESTS. */
  owe(): Owed {
    if (this.#owed.length >= maxUnansweredRequests) throw new pipeErrors.PEER_TOO_MANY_REQUESTS();
    const owed: Owed = { answer: undefined };
    this.#owed.push(owed);
    return owed;
  }

  /** The answer to one of this side's requests is known. It is kept until those before it are. */
  settle(owed: Owed, answer: Uint8Array): void {
    owed.answer = answer;
    while (this.#owed[0]?.answer !== undefined) {
      const first = this.#owed.shift();
      if (first?.answer !== undefined) this.#send(first.answer);
    }
  }
}

import type { PoolAnswer, PoolQuestion, Pools } from "#contract";
import type { FromWorker } from "./worker-messages.ts";

/** A worker's side of the pools, which the supervisor keeps. */
export class RemotePools implements Pools {
  readonly #say: (message: FromWorker) => void;
  readonly #asked = new Map<number, (answer: PoolAnswer) => void>();
  readonly #shares = new Map<string, number>();
  #last = 0;

  constructor(say: (message: FromWorker) => void) {
    this.#say = say;
  }

  async ask(question: PoolQuestion): Promise<PoolAnswer> {
    const number = ++this.#last;
    const answered = Promise.withResolvers<PoolAnswer>();
    this.#asked.set(number, answered.resolve);
    this.#say({ kind: "pool-ask", question: number, ask: question });
    return await answered.promise;
  }

  tell(lease: number, connected: boolean): void {
    this.#say({ kind: "pool-tell", lease, connected });
  }

  release(lease: number): void {
    this.#say({ kind: "pool-release", lease });
  }

  share(target: string, client: string | undefined): number {
    return this.#shares.get(nameOf(target, client)) ?? 0;
  }

  answered(question: number, answer: PoolAnswer): void {
    this.#asked.get(question)?.(answer);
    this.#asked.delete(question);
  }

  /** 0: this process has no connection there any more. */
  shared(target: string, client: string | undefined, share: number): void {
    if (share > 0) this.#shares.set(nameOf(target, client), share);
    else this.#shares.delete(nameOf(target, client));
  }

  /** Nobody is left who could answer: what is asked comes to nothing. */
  orphaned(): void {
    for (const answer of this.#asked.values())
      answer({ kind: "none", reason: "the process that keeps the pools is gone" });
    this.#asked.clear();
  }
}

function nameOf(target: string, client: string | undefined): string {
  return JSON.stringify([target, client]);
}

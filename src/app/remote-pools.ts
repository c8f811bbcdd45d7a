import type { PoolAnswer, PoolQuestion, Pools } from "#contract";
import { Questions } from "./questions.ts";
import type { FromWorker } from "./worker-messages.ts";

/** A worker's side of the pools, which the supervisor keeps. */
export class RemotePools implements Pools {
  readonly #say: (message: FromWorker) => void;
  readonly #questions = new Questions<PoolAnswer>();
  readonly #shares = new Map<string, number>();

  constructor(say: (message: FromWorker) => void) {
    this.#say = say;
  }

  async ask(question: PoolQuestion): Promise<PoolAnswer> {
    return await this.#questions.ask((number) =>
      this.#say({ kind: "pool-ask", question: number, ask: question }),
    );
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
    this.#questions.answered(question, answer);
  }

  /** 0: this process has no connection there any more. */
  shared(target: string, client: string | undefined, share: number): void {
    if (share > 0) this.#shares.set(nameOf(target, client), share);
    else this.#shares.delete(nameOf(target, client));
  }

  /** Nobody is left who could answer: what is asked comes to nothing. */
  orphaned(): void {
    this.#questions.answerAll({ kind: "none", reason: "the process that keeps the pools is gone" });
  }
}

function nameOf(target: string, client: string | undefined): string {
  return JSON.stringify([target, client]);
}

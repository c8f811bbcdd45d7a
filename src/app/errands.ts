/** What workers have others do, by way of the supervisor: it does some of it itself, and hands the rest to the worker that has what it is about. */
import type { AcmeSource, Kept } from "#acme";
import type { ApiTurns } from "#admin";
import type { CertificatePair, PeerAddress } from "#contract";
import type { HandedOver, OtherSignIns, Page, Seen, Step } from "#http-proxy";
import { Questions } from "./questions.ts";
import type { FromWorker } from "./worker-messages.ts";

/** The supervisor's own. */
export type OwnErrand =
  | { readonly kind: "certificate-kept"; readonly name: string }
  | { readonly kind: "certificate-order"; readonly name: string }
  | { readonly kind: "certificate-proof"; readonly name: string }
  | { readonly kind: "api-turn"; readonly token: string; readonly requestsPerMinute: number };

/** Another worker's. `at` absent: that of all others that has it. */
export type OthersErrand =
  | { readonly kind: "sign-in"; readonly step: Step; readonly seen: Seen; readonly at?: number }
  | { readonly kind: "sign-in-ticket"; readonly ticket: string; readonly at: number };

export type Errand = OwnErrand | OthersErrand;

interface Outcomes {
  readonly "certificate-kept": Kept;
  readonly "certificate-order": Kept;
  readonly "certificate-proof": CertificatePair;
  readonly "api-turn": number;
  readonly "sign-in": Page;
  readonly "sign-in-ticket": HandedOver;
}

type Say = (message: FromWorker) => void;

/** Where nobody is left who counts: come again soon. */
const noTurnSeconds = 1;

/** A worker's side. */
export class Errands implements AcmeSource, OtherSignIns {
  readonly here: number;
  readonly #say: Say;
  readonly #questions = new Questions<unknown>();
  #isOrphan = false;

  constructor(worker: number, say: Say) {
    this.here = worker;
    this.#say = say;
  }

  async kept(name: string): Promise<Kept | undefined> {
    return await this.#do({ kind: "certificate-kept", name });
  }

  async order(name: string): Promise<Kept | undefined> {
    return await this.#do({ kind: "certificate-order", name });
  }

  async proof(name: string): Promise<CertificatePair | undefined> {
    return await this.#do({ kind: "certificate-proof", name });
  }

  /** How often tokens may ask, counted for all workers together. */
  readonly turns: ApiTurns = {
    take: async (token, requestsPerMinute) =>
      (await this.#do({ kind: "api-turn", token, requestsPerMinute })) ?? noTurnSeconds,
  };

  async take(step: Step, seen: Seen, at?: number): Promise<Page | undefined> {
    return await this.#do({ kind: "sign-in", step, seen, ...(at === undefined ? {} : { at }) });
  }

  async ticket(ticket: string, at: number): Promise<HandedOver | undefined> {
    return await this.#do({ kind: "sign-in-ticket", ticket, at });
  }

  wrongCode(from: PeerAddress): void {
    this.#say({ kind: "wrong-code", from });
  }

  done(question: number, outcome: unknown): void {
    this.#questions.answered(question, outcome);
  }

  /** Nobody is left: nothing comes of what is open, and of what is asked from now on. */
  orphaned(): void {
    this.#isOrphan = true;
    this.#questions.answerAll(undefined);
  }

  async #do<K extends Errand["kind"]>(
    errand: Errand & { readonly kind: K },
  ): Promise<Outcomes[K] | undefined> {
    if (this.#isOrphan) return undefined;
    const outcome = await this.#questions.ask((question) => this.#say({ kind: "errand", question, errand }));
    // Each kind has its own outcome, and both ends are this program.
    return outcome as Outcomes[K] | undefined;
  }
}

import type { AcmeDesk, AcmeOffice } from "#acme";
import type { ApiTurns } from "#admin";
import type { Config } from "#config";
import type { OwnErrand } from "./errands.ts";

export interface SharedDeskParts {
  readonly acme: AcmeOffice;
  readonly turns: ApiTurns;
  /** The names of a configuration for which certificates are ordered. */
  ordered(config: Config): AcmeDesk | undefined;
}

/** What the supervisor does for all workers, so that it is done once: certificates are ordered, and turns are counted. */
export class SharedDesk implements Disposable {
  readonly #parts: SharedDeskParts;
  #ordered: AcmeDesk | undefined;

  constructor(config: Config, parts: SharedDeskParts) {
    this.#parts = parts;
    this.#ordered = parts.ordered(config);
  }

  /** By another configuration, once it is committed. */
  prepare(config: Config): Disposable & { commit(): void } {
    const next = this.#parts.ordered(config);
    let committed = false;
    return {
      commit: () => {
        committed = true;
        this.#ordered?.[Symbol.dispose]();
        this.#ordered = next;
      },
      [Symbol.dispose]: () => {
        if (!committed) next?.[Symbol.dispose]();
      },
    };
  }

  /** Undefined: nothing came of it. */
  async perform(errand: OwnErrand): Promise<unknown> {
    const { acme, turns } = this.#parts;
    switch (errand.kind) {
      case "certificate-kept":
        return this.#isOurs(errand.name) ? await acme.kept(errand.name) : undefined;
      case "certificate-order":
        return this.#isOurs(errand.name) ? await acme.order(errand.name) : undefined;
      case "certificate-proof":
        return await acme.proof(errand.name);
      case "api-turn":
        return await turns.take(errand.token, errand.requestsPerMinute);
    }
  }

  [Symbol.dispose](): void {
    this.#ordered?.[Symbol.dispose]();
  }

  /** A worker has looked as well; a file is named by it here. */
  #isOurs(name: string): boolean {
    return this.#ordered?.wants(name) === true;
  }
}

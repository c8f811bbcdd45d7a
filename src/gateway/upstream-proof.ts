import type { AuthMethod, ClientExchange, Proof, Route } from "#contract";
import type { UserauthServer } from "#ssh/userauth";
import { gatewayErrors } from "./errors.ts";
import { askNewPassword } from "./new-password.ts";
import type { Refusals } from "./refusals.ts";
import type { UpstreamEntry } from "./upstream-entry.ts";

export interface UpstreamProofOptions {
  readonly upstream: UpstreamEntry;
  readonly server: UserauthServer;
  readonly refusals: Refusals;
}

/** What a client shows, and an upstream is to judge. */
export interface DeferredProof {
  readonly route: Route;
  readonly user: string;
  readonly method: AuthMethod;
  readonly proof: Proof;
  /** Absent: the upstream's own questions go to the client. */
  readonly password: Uint8Array | undefined;
  readonly newPassword: Uint8Array | undefined;
}

/** The proof of who a client is, where the upstream is who knows. */
export class UpstreamProof {
  readonly #options: UpstreamProofOptions;

  constructor(options: UpstreamProofOptions) {
    this.#options = options;
  }

  /** `asked`: the client has been asked for a new password, by SSH's own message, or for another proof. */
  async judge(deferred: DeferredProof): Promise<"entered" | "refused" | "asked"> {
    const { upstream, server } = this.#options;
    const { route, user, proof, password, newPassword } = deferred;
    for (let fresh = newPassword; ; ) {
      const outcome =
        password === undefined
          ? await upstream.relay(route, user, this.#exchange(deferred))
          : await upstream.judge(route, user, password, fresh);
      if (deferred.method.tellsBanner === true) this.showBanners();
      if (outcome.kind === "partial") {
        this.showBanners();
        server.reject(outcome.methods, true);
        return "asked";
      }
      if (outcome.kind !== "password-change") return outcome.kind;
      if (proof.method !== "keyboard-interactive") {
        server.requestPasswordChange(outcome.prompt);
        return "asked";
      }
      fresh = await askNewPassword(proof, outcome.prompt);
      if (fresh === undefined) return "refused";
    }
  }

  /** What the upstream has had shown so far. To a name that is not let in, it would tell that there is an upstream. */
  showBanners(): void {
    const { upstream, server } = this.#options;
    for (const text of upstream.takeBanners()) server.banner(text);
  }

  /** The client's end of what is relayed. The first question comes when it would come for a name that leads nowhere. */
  #exchange({ route, user, method, proof }: DeferredProof): ClientExchange {
    const { refusals } = this.#options;
    if (proof.method !== "keyboard-interactive") throw new gatewayErrors.BUG_SESSION("nothing to relay");
    const { submethods } = proof;
    let first = true;
    return {
      ...(submethods === undefined ? {} : { submethods }),
      ask: async (request) => {
        if (first) {
          refusals.record(route.rule, "first-question");
          await refusals.pause(user, proof, "first-question", 0);
        }
        first = false;
        if (method.tellsBanner === true) this.showBanners();
        return await proof.ask(request);
      },
    };
  }
}

import type { Clock } from "#base";
import type { Link } from "#link";
import type { InfoRequest } from "#ssh/messages";
import { type ConnClose, type PacketHandler, type PacketView, payloadOf } from "#ssh/transport";
import { UserauthServer, type UserauthServerEvent, type UserauthServerOptions } from "#ssh/userauth";
import { gatewayErrors } from "./errors.ts";

/** What the client tries; answers within an exchange go to who asked. */
export type LoginAttempt = UserauthServerEvent & { readonly kind: "attempt" };

/** The client began another attempt in the midst of an exchange (RFC 4256, section 3.1): that one is looked at next. */
export class GivenUp extends Error {}

export interface LoginDialogueOptions
  extends Pick<UserauthServerOptions, "signatureAlgorithms" | "maxAttempts" | "maxKeyQueries"> {
  readonly link: Link;
  readonly clock: Clock;
  closed(close: ConnClose): void;
}

/** One client's half of a login, as questions and answers: one attempt after the other, each answered on `server`. */
export class LoginDialogue {
  readonly server: UserauthServer;
  readonly #options: LoginDialogueOptions;
  #event = Promise.withResolvers<UserauthServerEvent>();
  /** Came in the place of an answer. */
  #ahead: LoginAttempt | undefined;
  #heardMs = 0;
  /** Answers of the exchange under way, to be wiped. */
  #answers: Uint8Array[] = [];

  constructor(options: LoginDialogueOptions) {
    const { link, signatureAlgorithms, maxAttempts, maxKeyQueries } = options;
    this.#options = options;
    this.server = new UserauthServer({
      send: (payload) => link.send(payload),
      sessionId: link.sessionId,
      hostKey: link.hostKey,
      signatureAlgorithms,
      maxAttempts,
      ...(maxKeyQueries === undefined ? {} : { maxKeyQueries }),
    });
  }

  /** When the client last said something, in monotonic milliseconds. */
  get heardMs(): number {
    return this.#heardMs;
  }

  start(): void {
    this.#options.link.attach(this.#handler());
  }

  /** Whoever waits, or will, is told `why`. */
  stop(why: unknown): void {
    this.#event.reject(why);
    void this.#event.promise.catch(() => {});
  }

  /** The next attempt, once the one before has been answered. */
  async next(): Promise<LoginAttempt> {
    const event = this.#ahead ?? (await this.#heard());
    this.#ahead = undefined;
    // Answers come only to what an exchange asked, and it takes them itself.
    if (event.kind === "responses") throw new gatewayErrors.BUG_SESSION("answers to nothing");
    return event;
  }

  /** One round of an exchange. Throws GivenUp. */
  async ask(request: InfoRequest): Promise<Uint8Array[]> {
    this.server.challenge(request);
    const event = await this.#heard();
    if (event.kind === "attempt") {
      this.#ahead = event;
      throw new GivenUp();
    }
    const answers = event.responses.map((response) => Uint8Array.from(response));
    this.#answers.push(...answers);
    return answers;
  }

  /** The exchange is over. */
  wipeAnswers(): void {
    for (const answer of this.#answers.splice(0)) answer.fill(0);
  }

  async #heard(): Promise<UserauthServerEvent> {
    // The answer is out: the client's next packet may be looked at.
    this.#options.link.resume();
    const event = await this.#event.promise;
    this.#event = Promise.withResolvers();
    return event;
  }

  #handler(): PacketHandler {
    const { clock } = this.#options;
    return {
      // Once the client is in, what it sends is the session's: it waits for whoever joins the two sides.
      ready: () => !this.server.busy && !this.server.accepted,
      packet: (packet: PacketView) => {
        const event = this.server.receive(payloadOf(packet));
        if (event === undefined) return;
        this.#heardMs = clock.monotonic();
        this.#event.resolve(event);
      },
      closed: (close) => this.#options.closed(close),
    };
  }
}

import { createHmac } from "node:crypto";
import { Agent as HttpAgent } from "node:http";
import { Agent } from "node:https";
import type { Clock } from "#base";
import { type Answer, askAddress } from "../https/index.ts";
import { parseAnswer, type WebhookAnswer } from "./answer.ts";
import { webhookErrors } from "./errors.ts";
import { defaults, type WebhookConfig } from "./schema.ts";

/** An answer is a few hundred bytes. */
const maxAnswerBytes = 64 * 1024;

/** Connections to one webhook; what is more waits for one, within its time. */
const maxSockets = 64;

/** Before it is asked again: so long, then twice as long. */
const firstPauseMs = 200;

export interface PosterOptions {
  readonly config: WebhookConfig;
  /** PEM. */
  readonly authorities: string | undefined;
  readonly clock: Clock;
}

/** Asks one webhook: with its token and signature, in its time, again if that makes sense. */
export class Poster implements Disposable {
  readonly #config: WebhookConfig;
  readonly #url: URL;
  readonly #clock: Clock;
  readonly #agent: HttpAgent;

  constructor({ config, authorities, clock }: PosterOptions) {
    this.#config = config;
    this.#url = new URL(config.url);
    this.#clock = clock;
    const shared = { keepAlive: true, maxSockets, maxFreeSockets: 4 };
    this.#agent =
      this.#url.protocol === "https:"
        ? new Agent({ ...shared, ...(authorities === undefined ? {} : { ca: authorities }) })
        : new HttpAgent(shared);
  }

  /** The address for the log: what stands behind a question mark may be secret. */
  get place(): string {
    return `${this.#url.origin}${this.#url.pathname}`;
  }

  /** Rejects with UPSTREAM_WEBHOOK_FAILED, or with the signal's reason. Overwrites the body with zeroes. */
  async ask(body: Uint8Array, signal: AbortSignal): Promise<WebhookAnswer> {
    const { timeoutSeconds = defaults.timeoutSeconds, retries = defaults.retries } = this.#config;
    const late = new AbortController();
    using _limit = this.#clock.after(timeoutSeconds * 1000, () =>
      late.abort(new Error(`no answer in ${timeoutSeconds} seconds`)),
    );
    const both = AbortSignal.any([late.signal, signal]);
    try {
      for (let tries = 0; ; tries += 1) {
        const outcome = await this.#post(body, both).catch((error: unknown) => reasonIn(error));
        if (typeof outcome !== "string" && !mayPass(outcome.status)) return answerIn(outcome);
        both.throwIfAborted();
        const reason = typeof outcome === "string" ? outcome : `it answered ${outcome.status}`;
        if (tries >= retries) throw new Error(tries === 0 ? reason : `${reason}, ${tries + 1} times`);
        await this.#pause(firstPauseMs * 2 ** tries, both);
      }
    } catch (cause) {
      if (signal.aborted) throw signal.reason;
      if (cause instanceof webhookErrors.UPSTREAM_WEBHOOK_FAILED) throw cause;
      const why: unknown = late.signal.aborted ? late.signal.reason : cause;
      throw new webhookErrors.UPSTREAM_WEBHOOK_FAILED(`${this.place}: ${reasonIn(why)}`);
    } finally {
      body.fill(0);
    }
  }

  [Symbol.dispose](): void {
    this.#agent.destroy();
  }

  async #post(body: Uint8Array, signal: AbortSignal): Promise<Answer> {
    const { bearerToken, signingSecret } = this.#config;
    const headers: Record<string, string> = {
      "content-type": "application/json",
      accept: "application/json",
      ...(bearerToken === undefined ? {} : { authorization: `Bearer ${bearerToken.text().trim()}` }),
      ...(signingSecret === undefined
        ? {}
        : { "postern-signature": signatureOf(signingSecret.reveal(), body, this.#clock.now()) }),
    };
    const question = { method: "POST" as const, headers, body, maxBytes: maxAnswerBytes, signal };
    return await askAddress(this.#url, { ...question, agent: this.#agent });
  }

  async #pause(ms: number, signal: AbortSignal): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const over = (): void => reject(signal.reason);
      const timer = this.#clock.after(ms, () => {
        signal.removeEventListener("abort", over);
        resolve();
      });
      signal.addEventListener(
        "abort",
        () => {
          timer[Symbol.dispose]();
          over();
        },
        { once: true },
      );
    });
  }
}

/** `t=SECONDS,v1=HEX`: HMAC-SHA256 over the seconds since 1970, a dot and the body. */
export function signatureOf(secret: Uint8Array, body: Uint8Array, nowMs: number): string {
  const seconds = Math.floor(nowMs / 1000);
  const mac = createHmac("sha256", secret).update(`${seconds}.`).update(body).digest("hex");
  return `t=${seconds},v1=${mac}`;
}

/** Another try may be answered. */
function mayPass(status: number): boolean {
  return status === 429 || status >= 500;
}

function answerIn({ status, body }: Answer): WebhookAnswer {
  if (status !== 200) throw new webhookErrors.UPSTREAM_WEBHOOK_FAILED(`it answered ${status}`);
  return parseAnswer(body);
}

function reasonIn(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  // Of several addresses, each has failed: the errors stand within.
  if (error instanceof AggregateError && error.message === "") return error.errors.map(reasonIn).join(", ");
  return error.message;
}

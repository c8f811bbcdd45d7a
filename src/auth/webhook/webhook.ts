import { type Clock, PosternError, Recent } from "#base";
import type { AuthContext, AuthKind, AuthMethod, AuthPorts, KeyProof, Proof, Verdict } from "#contract";
import {
  certificateOptions,
  checkCertificate,
  defaultKeyOptions,
  fingerprint,
  matchPattern,
  missingPresence,
  parsePublicKeyLine,
} from "#ssh/keys";
import { authoritiesIn } from "../https/index.ts";
import { restrictionsOf } from "../publickey/index.ts";
import type { WebhookAnswer } from "./answer.ts";
import { webhookErrors } from "./errors.ts";
import { Poster } from "./post.ts";
import { requestOf, type WebhookRequest } from "./request.ts";
import { defaults, methodsOf, schema, type WebhookConfig } from "./schema.ts";

/** Answers that can stand in for later ones. */
const maxAnswers = 1000;

/** Times of refusals that a name which leads nowhere imitates. */
const keptTimes = 32;

/** The operator's own program decides who gets in, where to and what for. */
export const webhook: AuthKind<WebhookConfig> = {
  kind: "webhook",
  summary:
    "A program of your own decides, asked over HTTPS: who gets in, and if you like where to, with which credential and what for. See [webhook.md](webhook.md).",
  schema,
  create: async (config, ports) => {
    const invalid = (reason: string): Error => new webhookErrors.OPERATOR_WEBHOOK_INVALID(reason);
    const authorities = await authoritiesIn(config.tlsAuthorities, ports.files, invalid);
    const poster = new Poster({ config, authorities, clock: ports.clock });
    const judge = new WebhookJudge(config, ports, poster);
    const methods = methodsOf(config);
    return {
      kind: "webhook",
      methods,
      defers: false,
      givesPassword: config.sendPassword === true && !methods.includes("publickey"),
      attempt: (proof, context) => judge.attempt(proof, context),
      [Symbol.asyncDispose]: async () => poster[Symbol.dispose](),
    } satisfies AuthMethod;
  },
};

/** What was answered to one question, last. */
interface Kept {
  answer?: WebhookAnswer | undefined;
  atMs: number;
}

class WebhookJudge {
  readonly #config: WebhookConfig;
  readonly #ports: AuthPorts;
  readonly #poster: Poster;
  readonly #authorities: readonly Uint8Array[];
  readonly #kept = new Recent<string, Kept>(maxAnswers);
  readonly #refusals: number[] = [];

  constructor(config: WebhookConfig, ports: AuthPorts, poster: Poster) {
    this.#config = config;
    this.#ports = ports;
    this.#poster = poster;
    this.#authorities = (config.authorities ?? []).map((line) => parsePublicKeyLine(line).key.blob);
  }

  async attempt(proof: Proof, context: AuthContext): Promise<Verdict> {
    const shown = await this.#shown(proof);
    if (context.pretended) return await this.#pretend(context.signal);
    const startedMs = this.#ports.clock.monotonic();
    const verdict =
      typeof shown === "string" ? denied(shown) : await this.#judge(proof, context, shown.password);
    if (verdict.kind === "denied") this.#remember(this.#ports.clock.monotonic() - startedMs);
    return verdict.kind === "accepted" && proof.method === "keyboard-interactive" && typeof shown !== "string"
      ? { ...verdict, ...(shown.password === undefined ? {} : { password: shown.password }) }
      : verdict;
  }

  /** What the client gives besides its key, or why it will not do. */
  async #shown(proof: Proof): Promise<{ readonly password?: Uint8Array } | string> {
    switch (proof.method) {
      case "publickey":
        return {};
      case "password":
        return { password: proof.password };
      case "keyboard-interactive": {
        const prompts = this.#config.sendPassword === true ? [{ text: "Password: ", echo: false }] : [];
        const [password] = await proof.ask({ name: "", instruction: "", prompts });
        return password === undefined ? {} : { password };
      }
    }
  }

  async #judge(proof: Proof, context: AuthContext, given: Uint8Array | undefined): Promise<Verdict> {
    const unfit = proof.method === "publickey" ? await this.#unfit(proof, context) : undefined;
    if (unfit !== undefined) return denied(unfit);
    const password = given === undefined ? undefined : textOf(given);
    if (given !== undefined && (password === undefined || password === ""))
      return denied("the password is empty, or no UTF-8");
    const nowMs = this.#ports.clock.now();
    const request = requestOf(proof, context, { nowMs, password });
    const answer = await this.#answer(request, context);
    if (typeof answer === "string") return denied(answer);
    return this.#verdict(answer, proof);
  }

  #verdict(answer: WebhookAnswer, proof: Proof): Verdict {
    const { subject } = answer;
    const who = subject === undefined ? {} : { subject };
    if (!answer.allow) return { ...denied(`the webhook: ${answer.reason ?? "no reason given"}`), ...who };
    const { direction, restrictions, message } = answer;
    const user = direction?.user;
    if (
      user !== undefined &&
      !(this.#config.upstreamUsers ?? []).some((pattern) => matchPattern(user, pattern))
    )
      return { ...denied(`the webhook chose the user "${user}", who is not among upstreamUsers`), ...who };
    const named = proof.method === "publickey" ? ` for ${describe(proof)}` : "";
    return {
      kind: "accepted",
      by: `webhook${named}${subject === undefined ? "" : `: ${subject}`}`,
      ...who,
      restrictions: [...certifiedRestrictions(proof), ...restrictions],
      ...(direction === undefined ? {} : { direction }),
      ...(message === undefined ? {} : { notice: message }),
    };
  }

  /** What the webhook says; or, when it says nothing, what then holds. Text: why nobody gets in. */
  async #answer(request: WebhookRequest, { signal }: AuthContext): Promise<WebhookAnswer | string> {
    const { whenDown = defaults.whenDown, staleSeconds = defaults.staleSeconds } = this.#config;
    const { clock, log } = this.#ports;
    const question = questionOf(request);
    try {
      const answer = await this.#poster.ask(Buffer.from(JSON.stringify(request)), signal);
      if (whenDown === "last-answer") {
        const kept = this.#kept.of(question, () => ({ atMs: 0 }));
        kept.answer = answer;
        kept.atMs = clock.monotonic();
      }
      return answer;
    } catch (error) {
      if (!(error instanceof PosternError)) throw error;
      const { rule, session } = request;
      log.warn("webhook-failed", { rule, session, address: this.#poster.place, whenDown, error });
      if (whenDown === "dangerously-allow") return { allow: true, restrictions: [] };
      const kept = whenDown === "last-answer" ? this.#kept.peek(question) : undefined;
      if (kept?.answer !== undefined && clock.monotonic() - kept.atMs < staleSeconds * 1000)
        return kept.answer;
      return `the webhook gave no answer: ${error.code}`;
    }
  }

  /** Why a key need not be asked about. */
  async #unfit(proof: KeyProof, { from, nowMs }: AuthContext): Promise<string | undefined> {
    const { key, proven, touched = false, verified = false } = proof;
    const revoked = await this.#ports.revocation?.reasonAgainst(key);
    if (revoked !== undefined) return revoked;
    const certified = "key" in key ? certificateOptions(key) : undefined;
    if ("key" in key) {
      const refusal = checkCertificate(key, {
        kind: "user",
        principal: key.principals,
        nowSeconds: Math.floor(nowMs / 1000),
        authorities: this.#authorities,
        ...(from.ip === undefined ? {} : { sourceAddress: from.ip }),
      });
      if (refusal !== undefined) return `the certificate: ${refusal}`;
    }
    const plain = "key" in key ? key.key : key;
    if (!proven || plain.application === undefined) return undefined;
    return missingPresence(
      { valid: true, touched, verified },
      {
        touchRequired: certified?.touchRequired ?? true,
        verifyRequired: certified?.verifyRequired ?? false,
      },
    );
  }

  #remember(ms: number): void {
    this.#refusals.push(ms);
    if (this.#refusals.length > keptTimes) this.#refusals.shift();
  }

  /** A name that leads nowhere is not asked about, and takes as long as one of the last refusals took. */
  async #pretend(signal: AbortSignal): Promise<Verdict> {
    const ms = this.#refusals[Math.floor(Math.random() * this.#refusals.length)];
    if (ms !== undefined) await sleep(ms, this.#ports.clock, signal);
    return denied("only pretended");
  }
}

function denied(reason: string): Verdict & { readonly kind: "denied" } {
  return { kind: "denied", reason };
}

/** The same for the same client and proof: without what differs each time. */
function questionOf({ client, ...request }: WebhookRequest): string {
  return JSON.stringify({ ...request, client: client.address, sentAt: "", session: "" });
}

function certifiedRestrictions({ method, ...proof }: Proof): ReturnType<typeof restrictionsOf> {
  if (method !== "publickey" || !("key" in proof)) return [];
  return "key" in proof.key ? restrictionsOf(defaultKeyOptions, certificateOptions(proof.key)) : [];
}

function describe({ key }: KeyProof): string {
  if (!("key" in key)) return `${key.type} ${fingerprint(key.blob)}`;
  return `${key.type} ${fingerprint(key.key.blob)} id ${JSON.stringify(key.keyId)} by ${fingerprint(key.authority.blob)}`;
}

function textOf(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

async function sleep(ms: number, clock: Clock, signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    const timer = clock.after(ms, resolve);
    signal.addEventListener(
      "abort",
      () => {
        timer[Symbol.dispose]();
        resolve();
      },
      { once: true },
    );
  });
}

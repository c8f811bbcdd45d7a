import type { Link } from "#link";
import type { InfoRequest } from "#ssh/messages";
import { DISCONNECT } from "#ssh/messages";
import type { SessionBinding } from "#ssh/agent";
import { type ConnClose, type PacketHandler, payloadOf } from "#ssh/transport";
import { type UserauthClient, type UserauthClientEvent, userauthOver } from "#ssh/userauth";
import { PosternError, Secret } from "#base";
import { clientErrors } from "./errors.ts";
import type { Identities, Identity, IdentityOptions } from "./identities.ts";
import { quotable } from "./printable.ts";

export type LoginMethod = "publickey" | "keyboard-interactive" | "password";

/** How to log in. What is a function is asked when it is needed, undefined gives up. */
export interface LoginOptions extends IdentityOptions {
  /** Which methods, in which order. Default: all three. */
  readonly methods?: readonly LoginMethod[];
  readonly password?: string | ((again: boolean) => Promise<string | undefined>) | undefined;
  /** Answers the questions of keyboard-interactive, one text for each prompt. Default: a lone hidden prompt gets the password. */
  readonly answer?: ((request: InfoRequest) => Promise<readonly string[] | undefined>) | undefined;
  /** The server wants another password before it lets us in. */
  readonly newPassword?: ((prompt: string) => Promise<string | undefined>) | undefined;
  /** What the server has to say to people before the login. */
  readonly banner?: ((text: string) => void) | undefined;
}

/** What one login leaves for the next one at the same server, so that nobody is asked again. */
export interface LoginMemory {
  /** Keys that were opened. */
  readonly identities: Identities;
  /** That let us in. */
  password?: Secret;
}

/** Tries at a password or at questions, as ssh(1) gives. */
const maxAsked = 3;

/** Proofs in turn; no server wants so many. */
const maxProofs = 16;

/** Milliseconds that a server has for each answer: PAM may wait for a telephone. */
const answerMs = 120_000;

/** Answers that may wait to be looked at; the server speaks in turn, but for its banners. */
const maxUnread = 8;

const defaultMethods: readonly LoginMethod[] = ["publickey", "keyboard-interactive", "password"];

type Outcome = "entered" | "partial" | "failed";

/** The login at one server over one link. */
export class Login {
  readonly #link: Link;
  readonly #where: string;
  readonly #user: string;
  readonly #options: LoginOptions;
  readonly #memory: LoginMemory;
  /** Given in this login, and not yet known to be right. */
  #given: string | undefined;
  #triedMemory = false;
  readonly #client: UserauthClient;
  readonly #unread: UserauthClientEvent[] = [];
  readonly #tried: string[] = [];
  readonly #triedKeys = new Set<string>();
  #wake: (() => void) | undefined;
  #close: ConnClose | undefined;
  #methods: readonly string[] = [];

  constructor(link: Link, where: string, user: string, options: LoginOptions, memory: LoginMemory) {
    this.#link = link;
    this.#where = where;
    this.#user = user;
    this.#options = options;
    this.#memory = memory;
    this.#client = userauthOver(link, user);
    link.attach(this.#handler());
  }

  /** Throws DENIED_CLIENT_LOGIN, UPSTREAM_CLIENT_LOST. */
  async run(): Promise<void> {
    this.#client.start();
    this.#judge(await this.#next());
    this.#client.tryNone();
    let outcome = this.#judge(await this.#next());
    // After a proof that counted, the server may want another, by the same method perhaps.
    for (let proofs = 0; outcome !== "entered"; proofs++) {
      outcome = await this.#round();
      if (outcome === "failed" || proofs === maxProofs) throw this.#refused();
    }
    if (this.#given !== undefined) this.#memory.password = new Secret(this.#given);
  }

  async #round(): Promise<Outcome> {
    for (const method of this.#options.methods ?? defaultMethods) {
      if (!this.#methods.includes(method)) continue;
      const outcome = await this.#try(method);
      if (outcome !== "failed") return outcome;
    }
    return "failed";
  }

  async #try(method: LoginMethod): Promise<Outcome> {
    switch (method) {
      case "publickey":
        return await this.#tryKeys();
      case "keyboard-interactive":
        return await this.#tryAnswers();
      case "password":
        return await this.#tryPassword();
    }
  }

  async #tryKeys(): Promise<Outcome> {
    for await (const identity of this.#memory.identities.of(bindingOf(this.#link))) {
      // Not by its label: two keys may have the same comment.
      const id = Buffer.from(identity.blob).toString("base64");
      if (this.#triedKeys.has(id)) continue;
      this.#triedKeys.add(id);
      this.#tried.push(`key ${identity.label}`);
      const outcome = await this.#tryKey(identity);
      if (outcome !== "failed") return outcome;
      if (!this.#methods.includes("publickey")) return "failed";
    }
    return "failed";
  }

  async #tryKey(identity: Identity): Promise<Outcome> {
    if (!this.#client.tryKey(identity)) return "failed";
    const event = await this.#next();
    if (event.kind !== "need-signature") return this.#judge(event);
    try {
      this.#client.signed(await identity.sign(event.algorithm, event.data));
    } catch (error) {
      if (!(error instanceof PosternError) || error.blame === "BUG") throw error;
      this.#options.notice?.(error.detail ?? error.message);
      return "failed";
    }
    return this.#judge(await this.#next());
  }

  async #tryPassword(): Promise<Outcome> {
    const { password } = this.#options;
    for (let tries = 0; tries < maxAsked; tries++) {
      const text =
        this.#remembered() ?? (typeof password === "function" ? await password(tries > 0) : password);
      if (text === undefined || (typeof password === "string" && tries > 0)) return "failed";
      this.#given = text;
      this.#note("password");
      this.#client.tryPassword(Buffer.from(text));
      let event = await this.#next();
      while (event.kind === "password-change") {
        const fresh = await this.#options.newPassword?.(event.prompt);
        if (fresh === undefined) return "failed";
        this.#given = fresh;
        this.#client.tryPassword(Buffer.from(text), Buffer.from(fresh));
        event = await this.#next();
      }
      const outcome = this.#judge(event);
      if (outcome !== "failed" || !this.#methods.includes("password")) return outcome;
    }
    return "failed";
  }

  async #tryAnswers(): Promise<Outcome> {
    for (let tries = 0; tries < maxAsked; tries++) {
      const outcome = await this.#exchange(tries > 0);
      if (outcome === undefined) return "failed";
      if (outcome !== "failed" || !this.#methods.includes("keyboard-interactive")) return outcome;
    }
    return "failed";
  }

  /** One exchange of keyboard-interactive; undefined when nobody answers, or the same answers would be given again. */
  async #exchange(again: boolean): Promise<Outcome | undefined> {
    const { answer, password } = this.#options;
    if (answer === undefined && (password === undefined || (again && typeof password === "string")))
      return undefined;
    this.#note("keyboard-interactive");
    this.#client.tryKeyboardInteractive();
    let asked = false;
    for (;;) {
      const event = await this.#next();
      if (event.kind !== "prompts") {
        const outcome = this.#judge(event);
        // Nothing was asked: asking again would end in the same way.
        return outcome === "failed" && !asked ? undefined : outcome;
      }
      const { prompts } = event.request;
      asked ||= prompts.length > 0;
      const answers = await this.#answers(event.request, again);
      if (answers?.length !== prompts.length) return undefined;
      this.#client.answer(answers.map((text) => Buffer.from(text)));
    }
  }

  async #answers(request: InfoRequest, again: boolean): Promise<readonly string[] | undefined> {
    const { answer, password } = this.#options;
    if (request.prompts.length === 0) {
      if (request.instruction !== "") this.#options.banner?.(`${request.instruction}\n`);
      return [];
    }
    const [only, more] = request.prompts;
    const lone = only !== undefined && more === undefined && !only.echo;
    // A code is good for once; a password may be used again.
    const reusable = lone && /password/i.test(only.text);
    const known = reusable ? this.#remembered() : undefined;
    if (known !== undefined) return [(this.#given = known)];
    if (answer !== undefined) {
      const answers = await answer(request);
      if (reusable) this.#given = answers?.[0];
      return answers;
    }
    if (!lone) return undefined;
    const text = typeof password === "function" ? await password(again) : password;
    if (reusable) this.#given = text;
    return text === undefined ? undefined : [text];
  }

  /** What let us in last time, once. */
  #remembered(): string | undefined {
    if (this.#triedMemory) return undefined;
    this.#triedMemory = true;
    return this.#memory.password?.text();
  }

  #note(method: LoginMethod): void {
    if (!this.#tried.includes(method)) this.#tried.push(method);
  }

  #judge(event: UserauthClientEvent): Outcome {
    if (event.kind === "success") return "entered";
    if (event.kind !== "choose") return "failed";
    this.#methods = event.methods;
    return event.partialSuccess ? "partial" : "failed";
  }

  #refused(): Error {
    const takes = this.#methods.join(", ") || "nothing more";
    const keys = this.#tried.filter((name) => name.startsWith("key ")).map((name) => name.slice(4));
    const others = this.#tried.filter((name) => !name.startsWith("key "));
    const tried = [...(keys.length > 0 ? [`keys (${keys.join(", ")})`] : []), ...others];
    const hint =
      tried.length === 0 ? "there was nothing to try: give a key with -i, or a password on a terminal" : "";
    return new clientErrors.DENIED_CLIENT_LOGIN(
      `${this.#where} does not let ${this.#user} in. It takes ${takes}; ${hint || `tried: ${tried.join(", ")}`}.`,
    );
  }

  /** The next answer; banners are told on the way. */
  async #next(): Promise<UserauthClientEvent> {
    for (;;) {
      const event = this.#unread.shift();
      if (event?.kind === "banner") {
        this.#options.banner?.(event.text);
        continue;
      }
      this.#link.resume();
      if (event !== undefined) return event;
      if (this.#close !== undefined) throw this.#lost(this.#close);
      await this.#wakeUp();
    }
  }

  async #wakeUp(): Promise<void> {
    const woken = Promise.withResolvers<void>();
    this.#wake = woken.resolve;
    const timer = setTimeout(() => {
      const sentence = `${this.#where} does not answer during the login: nothing came in ${answerMs / 1000} s.`;
      woken.reject(new clientErrors.UPSTREAM_CLIENT_LOST(sentence));
    }, answerMs);
    try {
      await woken.promise;
    } finally {
      this.#wake = undefined;
      clearTimeout(timer);
    }
  }

  #lost(close: ConnClose): Error {
    const { reason, description = "" } = close;
    const tooMany =
      reason === DISCONNECT.NO_MORE_AUTH_METHODS_AVAILABLE || /^too many auth/i.test(description);
    if (close.kind === "disconnected" && tooMany) {
      return new clientErrors.DENIED_CLIENT_LOGIN(
        `${this.#where} does not let ${this.#user} in: "${description}". Tried: ${this.#tried.join(", ") || "nothing"}. With many keys in an agent, name the right one: -i KEY and IdentitiesOnly.`,
      );
    }
    return new clientErrors.UPSTREAM_CLIENT_LOST(closeSentence(this.#where, close, "during the login"));
  }

  #handler(): PacketHandler {
    return {
      // Once we are in, what follows waits for whoever takes over.
      ready: () => !this.#client.authenticated && this.#unread.length < maxUnread,
      packet: (packet) => {
        const event = this.#client.receive(payloadOf(packet));
        if (event === undefined) return;
        this.#unread.push(event);
        this.#wake?.();
      },
      closed: (close) => {
        this.#close = close;
        this.#wake?.();
      },
    };
  }
}

/** What an agent is told of a connection, so that it can judge for which host its keys are used. */
export function bindingOf({ hostKey, sessionId, hostKeySignature }: Link): SessionBinding | undefined {
  return hostKeySignature === undefined ? undefined : { hostKey, sessionId, hostKeySignature };
}

/** How a connection ended, in words. */
export function closeSentence(where: string, close: ConnClose, when = ""): string {
  const moment = when === "" ? "" : ` ${when}`;
  switch (close.kind) {
    case "disconnected":
      return `${where} ended the connection${moment}: ${quotable(close.description ?? "") || "it said no reason"}.`;
    case "ended":
      return `${where} closed the connection${moment}.`;
    case "local":
      return `The connection to ${where} was closed here.`;
    case "failed": {
      const { error } = close;
      const reason = error instanceof Error ? error.message : String(error);
      return `The connection to ${where} broke${moment}: ${reason}.`;
    }
  }
}

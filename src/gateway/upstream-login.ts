import { type Clock, formatHostPort, type HostPort, type Log, PosternError } from "#base";
import type { ClientExchange, Credential, CredentialContext, LoginWay } from "#contract";
import type { Link } from "#link";
import { Slow } from "#ssh/algorithms";
import type { KeySigner } from "#ssh/keys";
import { DISCONNECT, type InfoRequest } from "#ssh/messages";
import { type ConnClose, type PacketHandler, type PacketView, payloadOf } from "#ssh/transport";
import { type UserauthClient, type UserauthClientEvent, type UserauthKey, userauthOver } from "#ssh/userauth";
import { gatewayErrors } from "./errors.ts";
import { handshakeFault } from "./secured.ts";

export interface UpstreamLoginOptions {
  readonly link: Link;
  readonly address: HostPort;
  readonly user: string;
  readonly credentials: readonly Credential[];
  readonly allowSha1: boolean;
  /** Milliseconds that the upstream has for each answer. */
  readonly answerMs: number;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * `refused` by `client`: it was the client's password that did not do; by `operator`: nothing that the rule lists did.
 * `password-change`: the upstream wants a new password first; answer by `changePassword`.
 */
export type LoginOutcome =
  | { readonly kind: "entered" }
  | { readonly kind: "refused"; readonly whose: "client" | "operator" }
  /** The client's own proof was right, and the upstream wants more of it: one of these methods. */
  | { readonly kind: "partial"; readonly methods: readonly string[] }
  | { readonly kind: "password-change"; readonly prompt: string };

/** Answers that may wait to be looked at; the upstream speaks in turn, but for its banners. */
const maxUnread = 8;

/** The login at one upstream, over one connection, in as many tries as the upstream lets us have. */
export class UpstreamLogin implements AsyncDisposable {
  readonly link: Link;
  readonly address: HostPort;
  readonly #options: UpstreamLoginOptions;
  readonly #client: UserauthClient;
  readonly #unread: UserauthClientEvent[] = [];
  /** Ways of the operator's that were tried on this connection: none is tried twice. */
  readonly #spent = new Set<string>();
  #banners: string[] = [];
  #wake: (() => void) | undefined;
  #close: ConnClose | undefined;
  #started = false;
  #methods: readonly string[] = [];
  /** The password of the way being tried has reached the upstream. */
  #shown = false;
  /** The upstream took the client's own password. */
  #clientProven = false;
  /** Of the last `password-change`. */
  #prompt = "";
  /** Keys of the client's that the upstream was asked about. */
  #clientKeys = 0;
  /** Why the gateway itself could not make use of a way, the first time that happened. */
  #fault: PosternError | undefined;

  constructor(options: UpstreamLoginOptions) {
    const { link, user } = options;
    this.link = link;
    this.address = options.address;
    this.#options = options;
    this.#client = userauthOver(link, user);
    link.attach(this.#handler());
  }

  /** The upstream has ended the connection. */
  get over(): boolean {
    return this.#close !== undefined;
  }

  /** Keys of the client's that the upstream was asked about. */
  get clientKeys(): number {
    return this.#clientKeys;
  }

  /** What the upstream has had shown so far, to be told to the client once it is in. */
  get banners(): readonly string[] {
    return this.#banners;
  }

  /** The same; what was taken is not told again. */
  takeBanners(): readonly string[] {
    const banners = this.#banners;
    this.#banners = [];
    return banners;
  }

  /**
   * Tries what the credentials offer until the upstream lets us in or nothing is left.
   *
   * With `proof`, the login is also the proof of who the client is: it counts only if the upstream took the client's own password
   * on the way. An upstream that would let the gateway in anyway (by a stored key, or without asking) proves nothing.
   *
   * Throws the OPERATOR_ or DENIED_ error of a credential that could not be used, if none of the others did.
   */
  async login(context: CredentialContext, proof: boolean): Promise<LoginOutcome> {
    const ways = await this.#ways(context);
    if (!this.#started) {
      this.#started = true;
      this.#client.start();
      this.#noteChoice(await this.#next());
      // Where the client's password is one of several steps, its turn is the upstream's to tell: tried too early, it would be refused.
      if (proof && ways.size > 1 && (await this.#tryNone()) === "entered") return this.#unproven("none");
    }
    return await this.#tryAll(ways, proof);
  }

  /** Answers a `password-change`. */
  async changePassword(context: CredentialContext, newPassword: Uint8Array): Promise<LoginOutcome> {
    const ways = await this.#ways(context);
    if (context.clientPassword === undefined) return { kind: "refused", whose: "client" };
    this.#client.tryPassword(context.clientPassword, newPassword);
    const result = await this.#result();
    if (result === "password-change") return { kind: "password-change", prompt: this.#prompt };
    if (result === "failed") return { kind: "refused", whose: "client" };
    this.#clientProven = true;
    return result === "entered" ? { kind: "entered" } : await this.#tryAll(ways, true);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#close === undefined) this.link.disconnect(DISCONNECT.BY_APPLICATION, "");
  }

  async #ways(context: CredentialContext): Promise<Map<string, LoginWay>> {
    const ways = new Map<string, LoginWay>();
    for (const [at, credential] of this.#options.credentials.entries()) {
      for (const [n, way] of (await credential.ways(context)).entries()) ways.set(`${at}.${n}`, way);
    }
    return ways;
  }

  async #tryAll(ways: ReadonlyMap<string, LoginWay>, proof: boolean): Promise<LoginOutcome> {
    /** A relayed proof of this attempt was one of several that the upstream wants: the next is another attempt's. */
    let relayed = false;
    for (;;) {
      const chosen = this.#choose(ways, proof, relayed);
      if (chosen === undefined) {
        const wanted = this.#methods.filter((method) => relayable.includes(method));
        if (relayed && wanted.length > 0) return { kind: "partial", methods: wanted };
        if (proof && !relayed && [...ways.values()].some(isRelayed))
          return { kind: "refused", whose: "client" };
        if (proof && !this.#clientProven) return { kind: "refused", whose: "client" };
        if (this.#fault !== undefined) throw this.#fault;
        return { kind: "refused", whose: "operator" };
      }
      const [name, way] = chosen;
      const clients = isClients(way);
      this.#shown = false;
      const result = await this.#try(way);
      this.#options.log.debug("upstream-login-tried", { method: way.method, result });
      if (result === "password-change" && clients) return { kind: "password-change", prompt: this.#prompt };
      if (result === "failed" && clients && proof) {
        // An upstream that does not take passwords now has not judged this one: it may yet, after another step.
        if (this.#takes(way.method) || this.over) return { kind: "refused", whose: "client" };
        continue;
      }
      if (isRelayed(way)) relayed = result === "partial";
      else this.#spent.add(name);
      if (clients && this.#shown && (result === "partial" || result === "entered")) this.#clientProven = true;
      if (result !== "entered") continue;
      return proof && !this.#clientProven ? this.#unproven(way.method) : { kind: "entered" };
    }
  }

  /** We are in, but not by what the client showed: out again. */
  #unproven(by: string): LoginOutcome {
    this.#options.log.warn("upstream-login-without-password", { upstream: formatHostPort(this.address), by });
    this.link.disconnect(DISCONNECT.BY_APPLICATION, "");
    this.#close = { kind: "local" };
    return { kind: "refused", whose: "client" };
  }

  /** The next way that the upstream takes now; the client's password first where it is to be the proof. */
  #choose(
    ways: ReadonlyMap<string, LoginWay>,
    proof: boolean,
    relayed: boolean,
  ): [string, LoginWay] | undefined {
    const open = [...ways].filter(
      ([name, way]) => !this.#spent.has(name) && this.#takes(way.method) && !(relayed && isRelayed(way)),
    );
    const first = open.find(([, way]) => isClients(way));
    return proof && first !== undefined ? first : open[0];
  }

  #takes(method: LoginWay["method"]): boolean {
    // Never named in a list of methods (RFC 4252, section 5.2).
    if (method === "none") return true;
    if (this.#methods.length === 0 || this.#methods.includes(method)) return true;
    return method === "password" && this.#methods.includes("keyboard-interactive");
  }

  async #try(way: LoginWay): Promise<Result> {
    if (way.method === "none") return await this.#tryNone();
    if (way.method === "publickey") return await this.#tryKeys(way);
    if (way.method === "keyboard-interactive") return await this.#relay(way.exchange);
    if (this.#methods.length === 0 || this.#methods.includes("password")) {
      this.#client.tryPassword(way.password);
      this.#shown = true;
      const result = await this.#result();
      // Only now do we know that this upstream asks for passwords in the other way.
      const other = result === "failed" && !this.#methods.includes("password") && this.#takes("password");
      if (!other) return result;
    }
    return await this.#tryPrompts(way.password);
  }

  /** The upstream asks, the client answers. An upstream that asks nothing at all has not judged anybody. */
  async #relay(exchange: ClientExchange): Promise<Result> {
    this.#client.tryKeyboardInteractive(exchange.submethods);
    // What it asks for may be a person's telephone: it has as long as the whole login.
    for (let event = await this.#next(relayMs); ; event = await this.#next(relayMs)) {
      if (event.kind !== "prompts") return this.#judge(event);
      this.#shown = true;
      this.#client.answer(await exchange.ask(event.request));
    }
  }

  async #tryNone(): Promise<Result> {
    this.#client.tryNone();
    return await this.#result();
  }

  async #tryKeys(way: LoginWay & { readonly method: "publickey" }): Promise<Result> {
    if ("key" in way) {
      // One at hand is shown at once, which saves a round trip; one that is elsewhere may ask a person before it signs.
      if (typeof way.key !== "function") return await this.#tryKey(way.key, true);
      const key = await this.#usable(way.key);
      return key === undefined ? "failed" : await this.#tryKey(key);
    }
    const { hostKey, sessionId, hostKeySignature } = this.link;
    if (hostKeySignature === undefined) throw new gatewayErrors.BUG_SESSION("an upstream that never signed");
    const keys = await this.#usable(() => way.keys({ hostKey, sessionId, hostKeySignature }));
    for (const key of keys ?? []) {
      this.#clientKeys++;
      const result = await this.#tryKey(key);
      if (result !== "failed") return result;
      // It has ended the connection, or judged the login in another way.
      if (this.over || !this.#takes("publickey")) break;
    }
    return "failed";
  }

  /** Asks whether a key would do before it signs, or does not ask. */
  async #tryKey(key: KeySigner, atOnce = false): Promise<Result> {
    const sha1 = this.#options.allowSha1 && key.publicKey.type === "ssh-rsa";
    const algorithms = sha1 ? [...key.algorithms, "ssh-rsa"] : key.algorithms;
    const offer = { blob: key.blob, algorithms };
    const event = atOnce ? this.#client.proveKey(offer) : await this.#asked(offer);
    if (event === undefined) return "failed";
    if (event.kind !== "need-signature") return this.#judge(event);
    const signature = await this.#usable(() => signed(key, event.algorithm, event.data));
    if (signature === undefined) return "failed";
    this.#client.signed(signature);
    return await this.#result();
  }

  async #asked(key: UserauthKey): Promise<UserauthClientEvent | undefined> {
    return this.#client.tryKey(key) ? await this.#next() : undefined;
  }

  /** What a credential gives when its turn has come; undefined, and its reason kept, if it cannot: then the next is tried. */
  async #usable<T>(give: () => Promise<T>): Promise<T | undefined> {
    try {
      return await give();
    } catch (error) {
      if (!(error instanceof PosternError)) throw error;
      this.#options.log.warn("credential-failed", { upstream: formatHostPort(this.address), error });
      this.#fault ??= error;
      return undefined;
    }
  }

  /** keyboard-interactive, as far as a password answers it: one hidden prompt, and rounds that ask nothing. */
  async #tryPrompts(password: Uint8Array): Promise<Result> {
    this.#client.tryKeyboardInteractive();
    // An upstream may let us in without asking: then it was not the password that did it.
    this.#shown = false;
    for (;;) {
      const event = await this.#next();
      if (event.kind !== "prompts") return this.#judge(event);
      const answers = answersTo(event.request, this.#shown ? undefined : password);
      if (answers === undefined) return "failed";
      this.#shown ||= answers.length > 0;
      this.#client.answer(answers);
    }
  }

  async #result(): Promise<Result> {
    return this.#judge(await this.#next());
  }

  #judge(event: UserauthClientEvent): Result {
    if (event.kind === "success") return "entered";
    if (event.kind === "password-change") {
      this.#prompt = event.prompt;
      return "password-change";
    }
    if (event.kind === "choose") {
      this.#noteChoice(event);
      return event.partialSuccess ? "partial" : "failed";
    }
    return "failed";
  }

  #noteChoice(event: UserauthClientEvent): void {
    if (event.kind === "choose") this.#methods = event.methods;
  }

  /** The next answer. Throws UPSTREAM_LOGIN_TIMEOUT, UPSTREAM_LOST. */
  async #next(answerMs = this.#options.answerMs): Promise<UserauthClientEvent> {
    for (;;) {
      const event = this.#unread.shift();
      if (event?.kind === "banner") {
        this.#banners.push(event.text);
        continue;
      }
      if (event !== undefined) {
        this.link.resume();
        return event;
      }
      if (this.#close !== undefined) {
        if (saysTriesUsedUp(this.#close)) {
          return { kind: "choose", methods: ["none left"], partialSuccess: false, lastFailed: true };
        }
        throw this.#lost(this.#close);
      }
      this.link.resume();
      await this.#wakeUp(answerMs);
    }
  }

  async #wakeUp(answerMs: number): Promise<void> {
    const { clock } = this.#options;
    const woken = Promise.withResolvers<void>();
    this.#wake = woken.resolve;
    const timer = clock.after(answerMs, () => {
      woken.reject(
        new gatewayErrors.UPSTREAM_LOGIN_TIMEOUT(`${formatHostPort(this.address)}: ${answerMs} ms`),
      );
    });
    try {
      await woken.promise;
    } finally {
      this.#wake = undefined;
      timer[Symbol.dispose]();
    }
  }

  #lost(close: ConnClose): Error {
    if (close.kind === "failed") return handshakeFault(close.error, this.address);
    const said = close.kind === "disconnected" ? `: ${close.description ?? ""}` : "";
    return new gatewayErrors.UPSTREAM_LOST(`${formatHostPort(this.address)}${said}`);
  }

  #handler(): PacketHandler {
    return {
      // Once we are in, what follows is the session's: it waits for whoever joins the two sides.
      ready: () => !this.#client.authenticated && this.#unread.length < maxUnread,
      packet: (packet: PacketView) => {
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

/** Methods whose proofs can be passed on. */
const relayable: readonly string[] = ["keyboard-interactive", "password"];

/** Milliseconds that an upstream has for each step of a relayed exchange, within the client's own time to log in. */
const relayMs = 600_000;

function isRelayed(way: LoginWay): boolean {
  return way.method === "keyboard-interactive" || (way.method === "password" && way.relayed === true);
}

function isClients(way: LoginWay): boolean {
  return isRelayed(way) || (way.method === "password" && way.whose === "client");
}

type Result = "entered" | "partial" | "failed" | "password-change";

async function signed(key: KeySigner, algorithm: string, data: Uint8Array): Promise<Uint8Array> {
  const signature = key.sign(algorithm, data);
  return signature instanceof Slow ? await signature.run() : await signature;
}

/** The password for one hidden prompt, nothing for none; undefined for anything else. */
function answersTo(request: InfoRequest, password: Uint8Array | undefined): Uint8Array[] | undefined {
  const [prompt, more] = request.prompts;
  if (prompt === undefined) return [];
  return more === undefined && !prompt.echo && password !== undefined ? [password] : undefined;
}

/** OpenSSH ends the connection where the last failure would have been told. */
function saysTriesUsedUp({ kind, reason, description }: ConnClose): boolean {
  if (kind !== "disconnected") return false;
  if (reason === DISCONNECT.NO_MORE_AUTH_METHODS_AVAILABLE) return true;
  return reason === DISCONNECT.PROTOCOL_ERROR && /^too many authentication failures/i.test(description ?? "");
}

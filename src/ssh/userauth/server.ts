import { PosternError } from "#base";
import {
  algorithmFits,
  type Certificate,
  decodeAnyKey,
  type PublicKey,
  plainName,
  type SignatureVerdict,
  verifySignature,
} from "#ssh/keys";
import {
  decodeInfoResponse,
  decodeService,
  decodeUserauthRequest,
  encodeInfoRequest,
  encodePasswordChangeRequest,
  encodePublicKeyOk,
  encodeServiceAccept,
  encodeUserauthBanner,
  encodeUserauthFailure,
  encodeUserauthSuccess,
  type InfoRequest,
  MSG,
  maxPrompts,
  messageName,
  type UserauthRequest,
  userauthSignedData,
} from "#ssh/messages";
import { transportErrors } from "#ssh/transport";
import { userauthErrors } from "./errors.ts";

/** Bytes of UTF-8; room for a login, a host and a port in one name. */
export const maxUserNameBytes = 1024;

/** Keys that a client may ask about without proof, unless the options say otherwise. An agent seldom holds as many. */
export const defaultMaxKeyQueries = 48;

/** SERVICE_REQUESTs; paramiko sends one before each of its attempts. */
export const maxServiceRequests = 64;

export type ServerStateName =
  | "await-service"
  | "await-request"
  | "await-answer"
  | "await-responses"
  | "accepted"
  | "ended";

/** The message numbers that each state admits; any other is PEER_UNEXPECTED_MESSAGE. */
export const serverStates: Readonly<Record<ServerStateName, readonly number[]>> = {
  /** Nothing has been asked yet. */
  "await-service": [MSG.SERVICE_REQUEST],
  "await-request": [MSG.SERVICE_REQUEST, MSG.USERAUTH_REQUEST],
  /** An event waits for its answer: more packets are left unread (`busy`). */
  "await-answer": [],
  /** The client was sent prompts; a new request gives the exchange up (RFC 4256, section 3.1). */
  "await-responses": [MSG.SERVICE_REQUEST, MSG.USERAUTH_REQUEST, MSG.USERAUTH_INFO_RESPONSE],
  /** Late requests are ignored (RFC 4252, section 5.3). */
  accepted: [MSG.USERAUTH_REQUEST],
  /** Tries used up, or given up by `end()`. */
  ended: [],
};

type ServerState =
  | { readonly kind: "await-service" | "await-request" | "accepted" | "ended" }
  | { readonly kind: "await-answer"; readonly event: UserauthServerEvent }
  | { readonly kind: "await-responses"; readonly prompts: number };

export interface UserauthServerOptions {
  /** Takes one payload; its bytes may be reused after the call. */
  send(payload: Uint8Array): void;
  readonly sessionId: Uint8Array;
  /** Our host key's blob, as the client saw it. */
  readonly hostKey: Uint8Array;
  /** What a proof may be signed with, as announced in `server-sig-algs`. A certificate is measured by the algorithm of its key. */
  readonly signatureAlgorithms: readonly string[];
  /** Failures after which DENIED_TOO_MANY_ATTEMPTS is thrown. A first `none` and key queries do not count. */
  readonly maxAttempts: number;
  /** Keys asked about without proof; default `defaultMaxKeyQueries`. */
  readonly maxKeyQueries?: number;
  /** Default: `ssh-connection` alone. */
  readonly services?: readonly string[];
}

/** What the client tries. Byte strings of passwords are wiped when the event is answered: copy what must stay. */
export type UserauthAttempt =
  | { readonly method: "none" }
  | { readonly method: "password"; readonly password: Uint8Array; readonly newPassword?: Uint8Array }
  | PublicKeyAttempt
  | { readonly method: "keyboard-interactive"; readonly submethods: string }
  | { readonly method: "other"; readonly name: string };

export interface PublicKeyAttempt {
  readonly method: "publickey";
  readonly algorithm: string;
  /** Undefined when the key cannot be used at all: `refusal` says why, and only `reject` may follow. */
  readonly key: PublicKey | Certificate | undefined;
  readonly blob: Uint8Array;
  /** `none`: the client only asks; answer by `acceptKey` or `reject`. */
  readonly proof: "none" | "valid" | "invalid";
  /** For audit only: why the key or the proof was found unusable. */
  readonly refusal?: string;
  /** Of a proof by a security key: touched, verified, counter. */
  readonly verdict?: SignatureVerdict;
  /** The client signed our host key too. */
  readonly hostbound: boolean;
}

export type UserauthServerEvent =
  | {
      readonly kind: "attempt";
      readonly user: string;
      readonly service: string;
      readonly attempt: UserauthAttempt;
      /** The name or the service is not that of the attempt before: whatever was gathered for it must be dropped. */
      readonly changed: boolean;
      /** A keyboard-interactive exchange was under way and is now given up. */
      readonly abandoned: boolean;
    }
  | { readonly kind: "responses"; readonly user: string; readonly responses: readonly Uint8Array[] };

/**
 * The server's side of user authentication (RFC 4252, RFC 4256): checks form, order and proofs; who may enter is decided by whoever
 * answers the events. Every event is answered by exactly one of `accept`, `reject`, `acceptKey`, `challenge` and
 * `requestPasswordChange`.
 */
export class UserauthServer {
  readonly #options: UserauthServerOptions;
  #state: ServerState = { kind: "await-service" };
  #user: string | undefined;
  #service = "";
  #failures = 0;
  #requests = 0;
  #keyQueries = 0;
  #serviceRequests = 0;
  #earlyBanners: string[] = [];

  constructor(options: UserauthServerOptions) {
    this.#options = options;
  }

  /** An event waits for its answer. Until then leave further packets unread: a client may send requests ahead (RFC 4252, section 5.1). */
  get busy(): boolean {
    return this.#state.kind === "await-answer";
  }

  get accepted(): boolean {
    return this.#state.kind === "accepted";
  }

  /** Failures counted so far. */
  get failures(): number {
    return this.#failures;
  }

  /**
   * Takes one payload.
   *
   * Throws PEER_UNEXPECTED_MESSAGE, PEER_SERVICE_UNKNOWN, PEER_USER_NAME_INVALID, PEER_RESPONSE_COUNT, PEER_USERAUTH_FLOODED, the
   * errors of ssh/wire, and DENIED_TOO_MANY_ATTEMPTS for too many key queries.
   */
  receive(payload: Uint8Array): UserauthServerEvent | undefined {
    const state = this.#state;
    const number = payload[0] ?? 0;
    if (!serverStates[state.kind].includes(number)) {
      throw new transportErrors.PEER_UNEXPECTED_MESSAGE(`${messageName(number)} in ${state.kind}`);
    }
    if (number === MSG.SERVICE_REQUEST) {
      this.#serviceRequest(payload);
      return undefined;
    }
    if (state.kind === "accepted") return undefined;
    const event =
      state.kind === "await-responses" && number === MSG.USERAUTH_INFO_RESPONSE
        ? this.#responses(payload, state.prompts)
        : this.#request(payload, state.kind === "await-responses");
    this.#state = { kind: "await-answer", event };
    return event;
  }

  /** Lets the client in. Only for a proof that is valid; `none`, a password or an exchange when the caller found them right. */
  accept(): void {
    const event = this.#answered("accept");
    requireProof(event);
    this.#settle(event, { kind: "accepted" });
    this.#options.send(encodeUserauthSuccess());
  }

  /**
   * Refuses the attempt, or tells of a partial success, and names the methods that can continue.
   *
   * Throws DENIED_TOO_MANY_ATTEMPTS instead of sending anything when the tries are used up.
   */
  reject(methods: readonly string[], partialSuccess = false): void {
    const event = this.#answered("reject");
    const attempt = event.kind === "attempt" ? event.attempt : undefined;
    if (partialSuccess) requireProof(event);
    this.#settle(event, { kind: "await-request" });
    const firstNone = attempt?.method === "none" && this.#requests === 1;
    const query = attempt?.method === "publickey" && attempt.proof === "none";
    if (!partialSuccess && !firstNone && !query) this.#fail();
    this.#options.send(encodeUserauthFailure({ methods, partialSuccess }));
  }

  /** Answers a key query: this key would do (PK_OK). */
  acceptKey(): void {
    const event = this.#answered("acceptKey");
    const attempt = event.kind === "attempt" ? event.attempt : undefined;
    if (attempt?.method !== "publickey" || attempt.proof !== "none" || attempt.key === undefined) {
      throw new userauthErrors.BUG_USERAUTH_CALL("acceptKey without a usable key query");
    }
    this.#settle(event, { kind: "await-request" });
    this.#options.send(encodePublicKeyOk({ algorithm: attempt.algorithm, key: attempt.blob }));
  }

  /** A round of keyboard-interactive; no prompts at all is allowed, and is answered too. */
  challenge(request: InfoRequest): void {
    const event = this.#answered("challenge");
    const interactive = event.kind === "responses" || event.attempt.method === "keyboard-interactive";
    if (!interactive || request.prompts.length > maxPrompts) {
      throw new userauthErrors.BUG_USERAUTH_CALL(
        "challenge outside keyboard-interactive, or with too many prompts",
      );
    }
    this.#settle(event, { kind: "await-responses", prompts: request.prompts.length });
    this.#options.send(encodeInfoRequest(request));
  }

  /** The password has expired: asks for a new one (RFC 4252, section 8). */
  requestPasswordChange(prompt: string): void {
    const event = this.#answered("requestPasswordChange");
    if (event.kind !== "attempt" || event.attempt.method !== "password") {
      throw new userauthErrors.BUG_USERAUTH_CALL("requestPasswordChange without a password");
    }
    this.#settle(event, { kind: "await-request" });
    this.#options.send(encodePasswordChangeRequest(prompt));
  }

  /** Text for the person at the client, before success. Waits for the service request if that has not come yet. */
  banner(text: string): void {
    const { kind } = this.#state;
    if (kind === "accepted" || kind === "ended")
      throw new userauthErrors.BUG_USERAUTH_CALL(`banner in ${kind}`);
    if (kind === "await-service") this.#earlyBanners.push(text);
    else this.#options.send(encodeUserauthBanner(withCarriageReturns(text)));
  }

  /** The connection is over: wipes what is held and admits nothing more. */
  end(): void {
    if (this.#state.kind === "await-answer") wipe(this.#state.event);
    this.#state = { kind: "ended" };
  }

  #serviceRequest(payload: Uint8Array): void {
    const service = decodeService(payload);
    if (service !== "ssh-userauth") throw new userauthErrors.PEER_SERVICE_UNKNOWN(service);
    if (++this.#serviceRequests > maxServiceRequests) {
      throw new userauthErrors.PEER_USERAUTH_FLOODED(`${maxServiceRequests} service requests`);
    }
    if (this.#state.kind === "await-service") this.#state = { kind: "await-request" };
    this.#options.send(encodeServiceAccept(service));
    for (const text of this.#earlyBanners.splice(0)) this.banner(text);
  }

  #request(payload: Uint8Array, abandoned: boolean): UserauthServerEvent {
    const request = decodeUserauthRequest(payload);
    const { user, service } = request;
    if (!isPlainName(user)) throw new userauthErrors.PEER_USER_NAME_INVALID(`${user.length} characters`);
    if (!(this.#options.services ?? ["ssh-connection"]).includes(service)) {
      throw new userauthErrors.PEER_SERVICE_UNKNOWN(service);
    }
    // Else a client could open exchanges, each perhaps with a message to a phone, without end.
    if (abandoned) this.#fail();
    const changed = this.#user !== undefined && (this.#user !== user || this.#service !== service);
    this.#user = user;
    this.#service = service;
    this.#requests++;
    return { kind: "attempt", user, service, attempt: this.#attempt(request), changed, abandoned };
  }

  #attempt(request: UserauthRequest): UserauthAttempt {
    switch (request.method) {
      case "none":
        return { method: "none" };
      case "password": {
        const { method, password, newPassword } = request;
        return newPassword === undefined ? { method, password } : { method, password, newPassword };
      }
      case "publickey":
        return this.#publicKey(request);
      case "keyboard-interactive":
        return { method: "keyboard-interactive", submethods: request.submethods };
      case "other":
        return { method: "other", name: request.name };
    }
  }

  #publicKey(request: Extract<UserauthRequest, { method: "publickey" }>): PublicKeyAttempt {
    const { algorithm, key: blob, signature, hostKey } = request;
    if (signature === undefined) this.#countKeyQuery();
    const common = { method: "publickey", algorithm, blob, hostbound: hostKey !== undefined } as const;
    const unproven = signature === undefined ? "none" : "invalid";

    const found = this.#usableKey(request);
    if (typeof found === "string") return { ...common, key: undefined, proof: unproven, refusal: found };
    if (signature === undefined) return { ...common, key: found, proof: "none" };

    const data = userauthSignedData(this.#options.sessionId, {
      user: request.user,
      service: request.service,
      algorithm,
      key: blob,
      ...(hostKey === undefined ? {} : { hostKey }),
    });
    const verdict = verifySignature(found, algorithm, data, signature);
    if (!verdict.valid)
      return { ...common, key: found, proof: "invalid", refusal: verdict.reason ?? "the signature is wrong" };
    return { ...common, key: found, proof: "valid", verdict };
  }

  /** The key, or why it cannot be used whoever it belongs to. */
  #usableKey(request: Extract<UserauthRequest, { method: "publickey" }>): PublicKey | Certificate | string {
    const { algorithm, key: blob, hostKey } = request;
    if (!this.#options.signatureAlgorithms.includes(plainName(algorithm))) {
      return `${algorithm} is not allowed`;
    }
    if (hostKey !== undefined && !Buffer.from(hostKey).equals(this.#options.hostKey)) {
      return "the request is bound to another host key than ours";
    }
    let key: PublicKey | Certificate;
    try {
      key = decodeAnyKey(blob);
    } catch (error) {
      if (error instanceof PosternError && error.blame === "PEER")
        return `the key is unusable: ${error.message}`;
      throw error;
    }
    if (!algorithmFits(key.type, algorithm)) return `${algorithm} does not go with a key of type ${key.type}`;
    if ("kind" in key && key.kind !== "user") return "a host certificate is no user's";
    return key;
  }

  #countKeyQuery(): void {
    const limit = this.#options.maxKeyQueries ?? defaultMaxKeyQueries;
    if (++this.#keyQueries <= limit) return;
    this.end();
    throw new userauthErrors.DENIED_TOO_MANY_ATTEMPTS(`${limit} keys were asked about`);
  }

  #responses(payload: Uint8Array, prompts: number): UserauthServerEvent {
    const responses = decodeInfoResponse(payload);
    if (responses.length !== prompts) {
      for (const response of responses) response.fill(0);
      throw new userauthErrors.PEER_RESPONSE_COUNT(`${responses.length} for ${prompts}`);
    }
    return { kind: "responses", user: this.#user ?? "", responses };
  }

  #fail(): void {
    this.#failures++;
    if (this.#failures < this.#options.maxAttempts) return;
    this.end();
    throw new userauthErrors.DENIED_TOO_MANY_ATTEMPTS(`${this.#failures} failures`);
  }

  #answered(call: string): UserauthServerEvent {
    if (this.#state.kind !== "await-answer") {
      throw new userauthErrors.BUG_USERAUTH_CALL(`${call} in ${this.#state.kind}`);
    }
    return this.#state.event;
  }

  #settle(event: UserauthServerEvent, next: ServerState): void {
    wipe(event);
    this.#state = next;
  }
}

/** The last wall before success: what this room knows to be unproven cannot be taken for proof by a mistake above. */
function requireProof(event: UserauthServerEvent): void {
  if (event.kind === "responses") return;
  const { attempt } = event;
  const unproven =
    attempt.method === "other" ||
    (attempt.method === "publickey" && (attempt.proof !== "valid" || attempt.key === undefined));
  if (unproven) throw new userauthErrors.BUG_USERAUTH_CALL(`success of ${attempt.method} without proof`);
}

function wipe(event: UserauthServerEvent): void {
  if (event.kind === "responses") {
    for (const response of event.responses) response.fill(0);
  } else if (event.attempt.method === "password") {
    event.attempt.password.fill(0);
    event.attempt.newPassword?.fill(0);
  }
}

/** Names go to logs and rules: no control characters, and no more than `maxUserNameBytes`. */
function isPlainName(user: string): boolean {
  if (Buffer.byteLength(user, "utf8") > maxUserNameBytes) return false;
  for (const character of user) {
    const point = character.codePointAt(0) ?? 0;
    if (point < 0x20 || (point >= 0x7f && point <= 0x9f)) return false;
  }
  return true;
}

/** Lines of a banner end in CR LF (RFC 4252, section 5.4). */
function withCarriageReturns(text: string): string {
  return text.replaceAll(/\r?\n/g, "\r\n");
}

import {
  decodeInfoRequest,
  decodePasswordChangeRequest,
  decodePublicKeyOk,
  decodeService,
  decodeUserauthBanner,
  decodeUserauthFailure,
  encodeInfoResponse,
  encodeServiceRequest,
  encodeUserauthRequest,
  type InfoRequest,
  MSG,
  maxPrompts,
  messageName,
  type UserauthMethod,
  userauthSignedData,
} from "#ssh/messages";
import { transportErrors } from "#ssh/transport";
import { Reader } from "#ssh/wire";
import { chooseSignatureAlgorithm } from "./algorithms.ts";
import { userauthErrors } from "./errors.ts";

/** Characters of banner taken from one server, all banners together. */
export const maxBannerCharacters: number = 256 * 1024;

/** Rounds of one keyboard-interactive exchange; a server could ask without end. */
export const maxRounds = 64;

const { USERAUTH_FAILURE, USERAUTH_SUCCESS, USERAUTH_BANNER } = MSG;

export type ClientStateName =
  | "new"
  | "await-service"
  | "choosing"
  | "await-none"
  | "await-password"
  | "await-new-password"
  | "await-key-ok"
  | "await-signature"
  | "await-proof"
  | "await-round"
  | "await-responses"
  | "authenticated";

/**
 * The message numbers that each state admits; any other is PEER_UNEXPECTED_MESSAGE. Number 60 is three messages: which one is said
 * by the state.
 */
export const clientStates: Readonly<Record<ClientStateName, readonly number[]>> = {
  new: [],
  "await-service": [MSG.SERVICE_ACCEPT],
  /** It is for the caller to try something. */
  choosing: [USERAUTH_BANNER],
  "await-none": [USERAUTH_FAILURE, USERAUTH_SUCCESS, USERAUTH_BANNER],
  "await-password": [USERAUTH_FAILURE, USERAUTH_SUCCESS, USERAUTH_BANNER, MSG.USERAUTH_PASSWD_CHANGEREQ],
  "await-new-password": [USERAUTH_BANNER],
  "await-key-ok": [USERAUTH_FAILURE, USERAUTH_SUCCESS, USERAUTH_BANNER, MSG.USERAUTH_PK_OK],
  "await-signature": [USERAUTH_BANNER],
  "await-proof": [USERAUTH_FAILURE, USERAUTH_SUCCESS, USERAUTH_BANNER],
  "await-round": [USERAUTH_FAILURE, USERAUTH_SUCCESS, USERAUTH_BANNER, MSG.USERAUTH_INFO_REQUEST],
  "await-responses": [USERAUTH_BANNER],
  authenticated: [],
};

/** A key as far as user authentication needs it: a PrivateKey's shape, and easily an agent's. */
export interface UserauthKey {
  /** Public key or certificate. */
  readonly blob: Uint8Array;
  /** What it can sign with, best first; for a certificate the certificate algorithms. */
  readonly algorithms: readonly string[];
}

interface Offer {
  readonly key: UserauthKey;
  readonly algorithm: string;
  readonly hostKey?: Uint8Array;
}

type ClientState =
  | {
      readonly kind:
        | "new"
        | "await-service"
        | "choosing"
        | "await-none"
        | "await-password"
        | "await-new-password"
        | "await-proof"
        | "authenticated";
    }
  | { readonly kind: "await-key-ok" | "await-signature"; readonly offer: Offer }
  | { readonly kind: "await-round"; readonly rounds: number }
  | { readonly kind: "await-responses"; readonly rounds: number; readonly prompts: number };

export interface UserauthClientOptions {
  /** Takes one payload; its bytes may be reused or wiped after the call. */
  send(payload: Uint8Array): void;
  readonly sessionId: Uint8Array;
  readonly user: string;
  /** Default: `ssh-connection`. */
  readonly service?: string;
  /** The server's host key blob, as checked. */
  readonly hostKey: Uint8Array;
  /** The server's `server-sig-algs`; read when a key is tried, so it may be a getter over a late EXT_INFO. */
  readonly serverSignatureAlgorithms?: readonly string[] | undefined;
  /** The server takes publickey-hostbound; read when a key is tried. */
  readonly hostbound?: boolean;
}

export type UserauthClientEvent =
  /** Try something. `methods` is empty before the first failure, when the server has not said; `lastFailed` is false then too. */
  | {
      readonly kind: "choose";
      readonly methods: readonly string[];
      readonly partialSuccess: boolean;
      readonly lastFailed: boolean;
    }
  /** Sign `data` with `algorithm` and hand the whole signature blob to `signed`, or try something else. */
  | {
      readonly kind: "need-signature";
      readonly key: UserauthKey;
      /** As named in the request: for a certificate it ends in "-cert-v01@openssh.com", and the signature names the plain form. */
      readonly algorithm: string;
      readonly data: Uint8Array;
    }
  | { readonly kind: "prompts"; readonly request: InfoRequest }
  | { readonly kind: "password-change"; readonly prompt: string }
  | { readonly kind: "banner"; readonly text: string }
  | { readonly kind: "success" };

/**
 * The client's side of user authentication (RFC 4252, RFC 4256). The caller decides what to try; each `try…` is answered by an event
 * out of `receive`. Instead of answering `need-signature`, `prompts` or `password-change`, something else may be tried.
 */
export class UserauthClient {
  readonly #options: UserauthClientOptions;
  #state: ClientState = { kind: "new" };
  #bannerCharacters = 0;

  constructor(options: UserauthClientOptions) {
    this.#options = options;
  }

  get authenticated(): boolean {
    return this.#state.kind === "authenticated";
  }

  /** Asks for the service; the first event is a `choose`. */
  start(): void {
    if (this.#state.kind !== "new")
      throw new userauthErrors.BUG_USERAUTH_CALL(`start in ${this.#state.kind}`);
    this.#state = { kind: "await-service" };
    this.#options.send(encodeServiceRequest("ssh-userauth"));
  }

  /**
   * Takes one payload.
   *
   * Throws PEER_UNEXPECTED_MESSAGE, PEER_SERVICE_UNKNOWN, PEER_KEY_NOT_OFFERED, PEER_USERAUTH_FLOODED and the errors of ssh/wire.
   */
  receive(payload: Uint8Array): UserauthClientEvent | undefined {
    const state = this.#state;
    const number = payload[0] ?? 0;
    if (!clientStates[state.kind].includes(number)) {
      throw new transportErrors.PEER_UNEXPECTED_MESSAGE(`${messageName(number)} in ${state.kind}`);
    }
    switch (number) {
      case MSG.SERVICE_ACCEPT: {
        const service = decodeService(payload);
        if (service !== "ssh-userauth") throw new userauthErrors.PEER_SERVICE_UNKNOWN(service);
        this.#state = { kind: "choosing" };
        return { kind: "choose", methods: [], partialSuccess: false, lastFailed: false };
      }
      case USERAUTH_BANNER:
        return this.#banner(payload);
      case USERAUTH_FAILURE: {
        const { methods, partialSuccess } = decodeUserauthFailure(payload);
        this.#state = { kind: "choosing" };
        return { kind: "choose", methods, partialSuccess, lastFailed: !partialSuccess };
      }
      case USERAUTH_SUCCESS:
        this.#state = { kind: "authenticated" };
        return { kind: "success" };
      default:
        return this.#sixty(payload, state);
    }
  }

  /** Asks for nothing but the list of methods; some servers let in without more. */
  tryNone(): void {
    this.#begin("tryNone");
    this.#request({ method: "none" });
    this.#state = { kind: "await-none" };
  }

  /** `newPassword` answers a `password-change`. The bytes stay the caller's; what is made of them here is wiped. */
  tryPassword(password: Uint8Array, newPassword?: Uint8Array): void {
    this.#begin("tryPassword");
    this.#request({ method: "password", password, ...(newPassword === undefined ? {} : { newPassword }) });
    this.#state = { kind: "await-password" };
  }

  /**
   * Asks whether a key would do; if so, `need-signature` follows. `algorithm` defaults to the best that key and server share;
   * if there is none, false is returned and nothing was sent.
   */
  tryKey(key: UserauthKey, algorithm?: string): boolean {
    this.#begin("tryKey");
    const offer = this.#offer(key, algorithm);
    if (offer === undefined) return false;
    this.#request({ method: "publickey", algorithm: offer.algorithm, key: key.blob, ...boundTo(offer) });
    this.#state = { kind: "await-key-ok", offer };
    return true;
  }

  /** As `tryKey` without asking first: saves a round trip when the key is known to be right. Returns what to sign. */
  proveKey(key: UserauthKey, algorithm?: string): UserauthClientEvent | undefined {
    this.#begin("proveKey");
    const offer = this.#offer(key, algorithm);
    return offer === undefined ? undefined : this.#needSignature(offer);
  }

  /** Answers `need-signature` with the whole signature blob. */
  signed(signature: Uint8Array): void {
    const state = this.#state;
    if (state.kind !== "await-signature")
      throw new userauthErrors.BUG_USERAUTH_CALL(`signed in ${state.kind}`);
    const { key, algorithm } = state.offer;
    this.#request({ method: "publickey", algorithm, key: key.blob, signature, ...boundTo(state.offer) });
    this.#state = { kind: "await-proof" };
  }

  tryKeyboardInteractive(submethods = ""): void {
    this.#begin("tryKeyboardInteractive");
    this.#request({ method: "keyboard-interactive", submethods });
    this.#state = { kind: "await-round", rounds: 0 };
  }

  /** Answers `prompts`, one response for each. The bytes stay the caller's; what is made of them here is wiped. */
  answer(responses: readonly Uint8Array[]): void {
    const state = this.#state;
    if (state.kind !== "await-responses" || responses.length !== state.prompts) {
      throw new userauthErrors.BUG_USERAUTH_CALL(`answer of ${responses.length} in ${state.kind}`);
    }
    const payload = encodeInfoResponse(responses);
    this.#options.send(payload);
    payload.fill(0);
    this.#state = { kind: "await-round", rounds: state.rounds };
  }

  #begin(call: string): void {
    switch (this.#state.kind) {
      case "choosing":
      case "await-signature":
      case "await-responses":
      case "await-new-password":
        return;
      default:
        throw new userauthErrors.BUG_USERAUTH_CALL(`${call} in ${this.#state.kind}`);
    }
  }

  #request(method: UserauthMethod): void {
    const { user, service = "ssh-connection" } = this.#options;
    const payload = encodeUserauthRequest({ user, service, ...method });
    this.#options.send(payload);
    payload.fill(0);
  }

  #offer(key: UserauthKey, wanted: string | undefined): Offer | undefined {
    const { serverSignatureAlgorithms, hostbound, hostKey } = this.#options;
    const algorithm = wanted ?? chooseSignatureAlgorithm(key.algorithms, serverSignatureAlgorithms);
    if (algorithm === undefined) return undefined;
    return hostbound === true ? { key, algorithm, hostKey } : { key, algorithm };
  }

  #needSignature(offer: Offer): UserauthClientEvent {
    const { user, service = "ssh-connection", sessionId } = this.#options;
    const { key, algorithm } = offer;
    const data = userauthSignedData(sessionId, {
      user,
      service,
      algorithm,
      key: key.blob,
      ...boundTo(offer),
    });
    this.#state = { kind: "await-signature", offer };
    return { kind: "need-signature", key, algorithm, data };
  }

  #banner(payload: Uint8Array): UserauthClientEvent {
    const text = decodeUserauthBanner(payload);
    this.#bannerCharacters += text.length;
    if (this.#bannerCharacters > maxBannerCharacters) {
      throw new userauthErrors.PEER_USERAUTH_FLOODED(`more than ${maxBannerCharacters} characters of banner`);
    }
    return { kind: "banner", text };
  }

  /** Message 60, by what was asked. */
  #sixty(payload: Uint8Array, state: ClientState): UserauthClientEvent {
    switch (state.kind) {
      case "await-password": {
        const prompt = decodePasswordChangeRequest(payload);
        this.#state = { kind: "await-new-password" };
        return { kind: "password-change", prompt };
      }
      case "await-key-ok": {
        const ok = decodePublicKeyOk(payload);
        const { key, algorithm } = state.offer;
        // Some servers put the key's type where the algorithm belongs.
        const named = ok.algorithm === algorithm || ok.algorithm === new Reader(key.blob).ascii();
        if (!named || !Buffer.from(ok.key).equals(key.blob)) {
          throw new userauthErrors.PEER_KEY_NOT_OFFERED(ok.algorithm);
        }
        return this.#needSignature(state.offer);
      }
      case "await-round": {
        const request = decodeInfoRequest(payload);
        const rounds = state.rounds + 1;
        if (rounds > maxRounds)
          throw new userauthErrors.PEER_USERAUTH_FLOODED(`more than ${maxRounds} rounds`);
        if (request.prompts.length > maxPrompts) {
          throw new userauthErrors.PEER_USERAUTH_FLOODED(`more than ${maxPrompts} prompts`);
        }
        this.#state = { kind: "await-responses", rounds, prompts: request.prompts.length };
        return { kind: "prompts", request };
      }
      default:
        throw new transportErrors.PEER_UNEXPECTED_MESSAGE(`message 60 in ${state.kind}`);
    }
  }
}

function boundTo(offer: Offer): { readonly hostKey?: Uint8Array } {
  return offer.hostKey === undefined ? {} : { hostKey: offer.hostKey };
}

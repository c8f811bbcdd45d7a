import {
  type Agreement,
  type GroupExchange,
  groupExchanges,
  type KexClient,
  type KexMethod,
  kexMethods,
  type RandomBytes,
  Slow,
} from "#ssh/algorithms";
import { decodeAnyKey, verifySignature } from "#ssh/keys";
import {
  decodeGexGroup,
  decodeGexRequest,
  decodeKexPublic,
  decodeKexReply,
  encodeGexGroup,
  encodeGexRequest,
  encodeKexPublic,
  encodeKexReply,
  type GexRequest,
  messageName,
  MSG,
} from "#ssh/messages";
import { Writer } from "#ssh/wire";
import { transportErrors } from "./errors.ts";
import { exchangeHash, type KeyMaterial } from "./keys.ts";
import type { Negotiated, Role } from "./negotiate.ts";

/** What one exchange needs to know from outside. */
export interface ExchangeContext {
  readonly role: Role;
  readonly negotiated: Negotiated;
  readonly clientVersion: string;
  readonly serverVersion: string;
  readonly clientInit: Uint8Array;
  readonly serverInit: Uint8Array;
  /** Server: the host key that signs under the negotiated algorithm. */
  readonly hostKey?: Uint8Array;
  /** H of the first exchange, absent during it. */
  readonly sessionId?: Uint8Array;
  readonly random: RandomBytes;
  send(payload: Uint8Array): void;
}

/** What the exchange waits for, or that it is done. */
export type ExchangeStep =
  | { readonly kind: "need-secret"; readonly task: Slow<Agreement> }
  | { readonly kind: "need-signature"; readonly data: Uint8Array }
  | { readonly kind: "need-host-key"; readonly hostKey: Uint8Array; readonly signature: Uint8Array }
  /** NEWKEYS may be sent, and the keys be made. */
  | { readonly kind: "agreed"; readonly material: KeyMaterial; readonly hostKey: Uint8Array };

/** Each state holds only its own; the message numbers that it admits stand in `admits`. */
type State =
  | { readonly kind: "await-init"; readonly method: KexMethod }
  | {
      readonly kind: "await-reply";
      readonly method: KexMethod;
      readonly own: KexClient;
      readonly gex: boolean;
    }
  | { readonly kind: "await-gex-request"; readonly exchange: GroupExchange }
  | { readonly kind: "await-gex-group"; readonly exchange: GroupExchange; readonly request: GexRequest }
  | { readonly kind: "await-gex-init"; readonly method: KexMethod }
  | { readonly kind: "need-secret"; readonly resume: (agreement: Agreement) => ExchangeStep }
  | { readonly kind: "need-signature"; readonly resume: (signature: Uint8Array) => ExchangeStep }
  | { readonly kind: "need-host-key"; readonly resume: () => ExchangeStep }
  | { readonly kind: "done" };

const admits: Record<State["kind"], readonly number[]> = {
  "await-init": [MSG.KEX_ECDH_INIT],
  "await-reply": [MSG.KEX_ECDH_REPLY],
  "await-gex-request": [MSG.KEX_DH_GEX_REQUEST, MSG.KEX_DH_GEX_REQUEST_OLD],
  "await-gex-group": [MSG.KEX_DH_GEX_GROUP],
  "await-gex-init": [MSG.KEX_DH_GEX_INIT],
  "need-secret": [],
  "need-signature": [],
  "need-host-key": [],
  done: [],
};

/** One key exchange between the two KEXINITs and NEWKEYS (RFC 4253, section 8), either role. */
export class KeyExchange {
  readonly #context: ExchangeContext;
  #state: State;
  /** Group exchange: request and group as they are hashed. */
  #group: Uint8Array | undefined;

  constructor(context: ExchangeContext) {
    this.#context = context;
    this.#state = this.#begin();
  }

  /** Takes a message from 30 to 49. Throws PEER_UNEXPECTED_MESSAGE, PEER_KEX_VALUE, PEER_SIGNATURE_INVALID. */
  receive(payload: Uint8Array): ExchangeStep | undefined {
    const state = this.#state;
    const number = payload[0] ?? 0;
    const admitted = state.kind === "await-reply" && state.gex ? [MSG.KEX_DH_GEX_REPLY] : admits[state.kind];
    if (!admitted.includes(number)) {
      throw new transportErrors.PEER_UNEXPECTED_MESSAGE(`${messageName(number)} in ${state.kind}`);
    }
    switch (state.kind) {
      case "await-init":
        return this.#answer(state.method, payload, MSG.KEX_ECDH_REPLY);
      case "await-gex-init":
        return this.#answer(state.method, payload, MSG.KEX_DH_GEX_REPLY);
      case "await-reply":
        return this.#conclude(state.method, state.own, payload);
      case "await-gex-request":
        return this.#offerGroup(state.exchange, payload);
      case "await-gex-group":
        return this.#takeGroup(state.exchange, state.request, payload);
      default:
        throw new transportErrors.BUG_ENGINE_MISUSED(state.kind);
    }
  }

  agreed(agreement: Agreement): ExchangeStep {
    if (this.#state.kind !== "need-secret")
      throw new transportErrors.BUG_ENGINE_MISUSED("no secret is awaited");
    return this.#state.resume(agreement);
  }

  signed(signature: Uint8Array): ExchangeStep {
    if (this.#state.kind !== "need-signature")
      throw new transportErrors.BUG_ENGINE_MISUSED("no signature is awaited");
    return this.#state.resume(signature);
  }

  hostKeyAccepted(): ExchangeStep {
    if (this.#state.kind !== "need-host-key")
      throw new transportErrors.BUG_ENGINE_MISUSED("no host key is awaited");
    return this.#state.resume();
  }

  #begin(): State {
    const { role, negotiated, random } = this.#context;
    const exchange = groupExchanges.get(negotiated.kex);
    if (exchange !== undefined) {
      if (role === "server") return { kind: "await-gex-request", exchange };
      const request = { min: exchange.minBits, preferred: exchange.preferredBits, max: exchange.maxBits };
      this.#context.send(encodeGexRequest(request));
      return { kind: "await-gex-group", exchange, request };
    }
    const method = kexMethods.get(negotiated.kex);
    if (method === undefined) throw new transportErrors.BUG_ENGINE_MISUSED(`no method ${negotiated.kex}`);
    if (role === "server") return { kind: "await-init", method };
    const own = method.client(random);
    this.#context.send(encodeKexPublic(MSG.KEX_ECDH_INIT, method.publicForm, own.publicValue));
    return { kind: "await-reply", method, own, gex: false };
  }

  /** Server, RFC 4419: sizes asked for, group offered. */
  #offerGroup(exchange: GroupExchange, payload: Uint8Array): undefined {
    if (payload[0] === MSG.KEX_DH_GEX_REQUEST_OLD) {
      throw new transportErrors.MISMATCH_ALGORITHM("group exchange in the form that RFC 4419 replaced");
    }
    const request = decodeGexRequest(payload);
    const group = exchange.choose(request.min, request.preferred, request.max);
    if (group === undefined) {
      throw new transportErrors.MISMATCH_ALGORITHM(`group of ${request.min} to ${request.max} bits`);
    }
    this.#context.send(encodeGexGroup(group));
    this.#group = hashedGroup(request, group.prime, group.generator);
    this.#state = { kind: "await-gex-init", method: exchange.methodFor(group.prime, group.generator) };
    return undefined;
  }

  /** Client, RFC 4419. */
  #takeGroup(exchange: GroupExchange, request: GexRequest, payload: Uint8Array): undefined {
    const { prime, generator } = decodeGexGroup(payload);
    const method = exchange.methodFor(prime, generator);
    const own = method.client(this.#context.random);
    this.#group = hashedGroup(request, prime, generator);
    this.#context.send(encodeKexPublic(MSG.KEX_DH_GEX_INIT, method.publicForm, own.publicValue));
    this.#state = { kind: "await-reply", method, own, gex: true };
    return undefined;
  }

  /** Server: the client's value came. */
  #answer(method: KexMethod, payload: Uint8Array, reply: number): ExchangeStep {
    const clientPublic = decodeKexPublic(payload, method.publicForm);
    return this.#whenAgreed(method.answer(clientPublic, this.#context.random), (agreement) => {
      const hostKey = this.#context.hostKey;
      if (hostKey === undefined) throw new transportErrors.BUG_ENGINE_MISUSED("a server without host key");
      const serverPublic = agreement.publicValue;
      const material = this.#material(method, { hostKey, clientPublic, serverPublic }, agreement.secret);
      this.#state = {
        kind: "need-signature",
        resume: (signature) => {
          const message = { hostKey, publicValue: serverPublic, signature };
          this.#context.send(encodeKexReply(reply, method.publicForm, message));
          this.#state = { kind: "done" };
          return { kind: "agreed", material, hostKey };
        },
      };
      return { kind: "need-signature", data: material.exchangeHash };
    });
  }

  /** Client: the server's value, host key and signature came. The signature is checked before anybody is asked about the key. */
  #conclude(method: KexMethod, own: KexClient, payload: Uint8Array): ExchangeStep {
    const { hostKey, publicValue: serverPublic, signature } = decodeKexReply(payload, method.publicForm);
    return this.#whenAgreed(own.agree(serverPublic), (agreement) => {
      const clientPublic = agreement.publicValue;
      const material = this.#material(method, { hostKey, clientPublic, serverPublic }, agreement.secret);
      const algorithm = this.#context.negotiated.hostKey;
      const verdict = verifySignature(decodeAnyKey(hostKey), algorithm, material.exchangeHash, signature);
      if (!verdict.valid) throw new transportErrors.PEER_SIGNATURE_INVALID(algorithm);
      this.#state = {
        kind: "need-host-key",
        resume: () => {
          this.#state = { kind: "done" };
          return { kind: "agreed", material, hostKey };
        },
      };
      return { kind: "need-host-key", hostKey, signature: Uint8Array.from(signature) };
    });
  }

  #whenAgreed(
    result: Agreement | Slow<Agreement>,
    resume: (agreement: Agreement) => ExchangeStep,
  ): ExchangeStep {
    if (!(result instanceof Slow)) return resume(result);
    this.#state = { kind: "need-secret", resume };
    return { kind: "need-secret", task: result };
  }

  #material(
    method: KexMethod,
    values: {
      readonly hostKey: Uint8Array;
      readonly clientPublic: Uint8Array;
      readonly serverPublic: Uint8Array;
    },
    secret: Uint8Array,
  ): KeyMaterial {
    const { clientVersion, serverVersion, clientInit, serverInit, sessionId } = this.#context;
    const hash = exchangeHash(method.hash, {
      clientVersion,
      serverVersion,
      clientInit,
      serverInit,
      ...values,
      ...(this.#group === undefined ? {} : { group: this.#group }),
      publicForm: method.publicForm,
      secret,
    });
    return { hash: method.hash, secret, exchangeHash: hash, sessionId: sessionId ?? hash };
  }
}

function hashedGroup(request: GexRequest, prime: Uint8Array, generator: Uint8Array): Uint8Array {
  return new Writer(1100)
    .u32(request.min)
    .u32(request.preferred)
    .u32(request.max)
    .mpint(prime)
    .mpint(generator)
    .bytes();
}

import { type Clock, type Log, PosternError } from "#base";
import type { ClientAgent, UpstreamBinding } from "#contract";
import { AgentClient, type AgentReply } from "#ssh/agent";
import {
  type Certificate,
  decodeAnyKey,
  fingerprint,
  keyAlgorithms,
  type KeySigner,
  type PublicKey,
  verifySignature,
} from "#ssh/keys";
import type { ClientChannel } from "./client-channel.ts";
import { gatewayErrors } from "./errors.ts";
import type { WaitingClient } from "./waiting-client.ts";

export interface ForwardedAgentOptions {
  readonly waiting: Pick<WaitingClient, "openChannel">;
  readonly clock: Clock;
  readonly log: Log;
  /** Fingerprints of keys that are likely to be right, as a text that holds them: they are tried first. */
  readonly likely: string;
  /** The client has gone. */
  readonly signal: AbortSignal;
}

/** Milliseconds that a client has to close a channel that we have closed. */
const closeMs = 5_000;

/**
 * The agent that a client forwards: its keys sign for one upstream, and no other key of anybody is asked for. Each upstream has a
 * conversation of its own, bound to that connection. Rejects with DENIED_AGENT_ errors.
 */
export class ForwardedAgent implements ClientAgent {
  readonly #options: ForwardedAgentOptions;
  readonly #conversations: Conversation[] = [];

  constructor(options: ForwardedAgentOptions) {
    this.#options = options;
  }

  async keys(binding: UpstreamBinding, timeoutMs: number): Promise<readonly KeySigner[]> {
    const conversation = new Conversation(this.#options, timeoutMs);
    this.#conversations.push(conversation);
    const bound = await conversation.ask((agent) => agent.bindSession(binding));
    // Not every agent can be told. Then its keys sign all the same, unless they are restricted: that is for the agent to judge.
    if (bound.kind !== "success") this.#options.log.debug("agent-not-bound");
    const reply = await conversation.ask((agent) => agent.requestIdentities());
    if (reply.kind !== "identities") throw new gatewayErrors.DENIED_AGENT_REFUSED("the list of its keys");
    const usable = reply.identities.flatMap(({ blob }) => decoded(blob) ?? []);
    if (usable.length === 0) throw new gatewayErrors.DENIED_AGENT_EMPTY(`${reply.identities.length} keys`);
    const { likely } = this.#options;
    const isLikely = (key: PublicKey | Certificate): boolean => likely.includes(fingerprint(key.blob));
    const ordered = [...usable.filter(isLikely), ...usable.filter((key) => !isLikely(key))];
    return ordered.map((key) => signer(key, conversation));
  }

  /** Ends all conversations; resolves when the client has agreed, or has had the time to. */
  async close(): Promise<void> {
    await Promise.all(this.#conversations.splice(0).map((conversation) => conversation.close()));
  }
}

/** One channel to the agent, one request at a time. */
class Conversation {
  readonly #options: ForwardedAgentOptions;
  readonly #timeoutMs: number;
  readonly #channel: ClientChannel;
  readonly #agent: AgentClient;
  #answer: PromiseWithResolvers<AgentReply> | undefined;
  #failure: PosternError | undefined;

  constructor(options: ForwardedAgentOptions, timeoutMs: number) {
    this.#options = options;
    this.#timeoutMs = timeoutMs;
    this.#channel = options.waiting.openChannel("auth-agent@openssh.com", {
      data: (bytes) => this.#data(bytes),
      eof: () => this.#fail(new gatewayErrors.DENIED_AGENT_GONE()),
    });
    this.#agent = new AgentClient({ send: (bytes) => this.#channel.write(bytes) });
    void this.#channel.opened.then((opened) => {
      if (opened !== true)
        this.#fail(new gatewayErrors.DENIED_AGENT_REFUSED(`its channel: ${opened.refusal}`));
    });
    void this.#channel.over.then(() => this.#fail(new gatewayErrors.DENIED_AGENT_GONE()));
  }

  async ask(request: (agent: AgentClient) => void): Promise<AgentReply> {
    if (this.#failure !== undefined) throw this.#failure;
    const answer = Promise.withResolvers<AgentReply>();
    this.#answer = answer;
    const { clock, signal } = this.#options;
    const left = (): void => answer.reject(signal.reason);
    signal.addEventListener("abort", left, { once: true });
    using _timer = clock.after(this.#timeoutMs, () =>
      this.#fail(new gatewayErrors.DENIED_AGENT_SILENT(`${this.#timeoutMs} ms`)),
    );
    try {
      if (signal.aborted) left();
      else request(this.#agent);
      return await answer.promise;
    } finally {
      signal.removeEventListener("abort", left);
      this.#answer = undefined;
    }
  }

  async close(): Promise<void> {
    this.#channel.close();
    const waited = Promise.withResolvers<void>();
    using _timer = this.#options.clock.after(closeMs, () => waited.resolve());
    this.#options.signal.addEventListener("abort", () => waited.resolve(), { once: true });
    if (this.#options.signal.aborted) return;
    await Promise.race([this.#channel.over, waited.promise]);
  }

  #data(bytes: Uint8Array): void {
    if (this.#failure !== undefined) return;
    try {
      const [reply] = this.#agent.receive(bytes);
      if (reply !== undefined) this.#answer?.resolve(reply);
    } catch (error) {
      if (!(error instanceof PosternError)) throw error;
      this.#fail(new gatewayErrors.DENIED_AGENT_BROKEN(error.detail ?? error.message, { cause: error }));
    }
  }

  #fail(error: PosternError): void {
    this.#failure ??= error;
    this.#answer?.reject(this.#failure);
  }
}

/** Keys of types that nobody here knows are passed over. */
function decoded(blob: Uint8Array): PublicKey | Certificate | undefined {
  try {
    return decodeAnyKey(blob);
  } catch (error) {
    if (error instanceof PosternError && error.blame === "PEER") return undefined;
    throw error;
  }
}

/** Each signature is verified before it is handed on. */
function signer(key: PublicKey | Certificate, conversation: Conversation): KeySigner {
  return {
    publicKey: "key" in key ? key.key : key,
    blob: key.blob,
    algorithms: keyAlgorithms(key),
    async sign(algorithm, data) {
      const reply = await conversation.ask((agent) => agent.requestSignature(key.blob, algorithm, data));
      const name = fingerprint(key.blob);
      if (reply.kind !== "signature") throw new gatewayErrors.DENIED_AGENT_REFUSED(`a signature by ${name}`);
      const { valid, reason = "" } = verifySignature(key, algorithm, data, reply.signature);
      if (valid) return reply.signature;
      throw new gatewayErrors.DENIED_AGENT_BROKEN(`a signature by ${name} is no good: ${reason}`);
    },
  };
}

import { agentErrors } from "./errors.ts";
import {
  type AgentReply,
  agentFlagsFor,
  decodeAgentReply,
  encodeIdentitiesRequest,
  encodeSessionBind,
  encodeSignRequest,
  type SessionBinding,
} from "./messages.ts";

/** Length of one reply: OpenSSH's MAX_AGENT_REPLY_LEN. */
export const maxAgentReplyBytes: number = 256 * 1024;

const lengthBytes = 4;

export interface AgentClientOptions {
  /** Takes bytes for the agent, valid as long as nobody changes them. */
  send(bytes: Uint8Array): void;
}

/**
 * One conversation with an agent: requests go out framed, replies come back in the order of the requests. A reply is handed out only
 * if it answers the oldest request: that, or a failure.
 */
export class AgentClient {
  readonly #options: AgentClientOptions;
  readonly #asked: ("identities" | "signature" | "success")[] = [];
  readonly #length: Buffer = Buffer.alloc(lengthBytes);
  /** Bytes of the current reply's length, then of its payload, that have come. */
  #have = 0;
  /** Of the reply that is coming; undefined until its length is known. */
  #payload: Uint8Array | undefined;

  constructor(options: AgentClientOptions) {
    this.#options = options;
  }

  /** A request is unanswered. */
  get waiting(): boolean {
    return this.#asked.length > 0;
  }

  /** Tells which connection is to be signed for. The answer is success, or a failure from an agent that cannot be told. */
  bindSession(binding: SessionBinding, forwarding = false): void {
    this.#send("success", encodeSessionBind(binding, forwarding));
  }

  requestIdentities(): void {
    this.#send("identities", encodeIdentitiesRequest());
  }

  /** Asks a key for a signature by an algorithm, plain or of a certificate; the signature names the plain form. */
  requestSignature(blob: Uint8Array, algorithm: string, data: Uint8Array): void {
    this.#send("signature", encodeSignRequest({ blob, data, flags: agentFlagsFor(algorithm) }));
  }

  /** Takes bytes from the agent, in pieces of any size. Throws PEER_AGENT_INVALID; then the conversation is over. */
  receive(chunk: Uint8Array): AgentReply[] {
    const replies: AgentReply[] = [];
    let at = 0;
    for (;;) {
      const target = this.#payload ?? this.#length;
      const piece = chunk.subarray(at, at + target.length - this.#have);
      target.set(piece, this.#have);
      this.#have += piece.length;
      at += piece.length;
      if (this.#have < target.length) return replies;
      this.#have = 0;
      if (this.#payload === undefined) {
        this.#payload = new Uint8Array(this.#checkedLength());
        continue;
      }
      const payload = this.#payload;
      this.#payload = undefined;
      replies.push(this.#take(payload));
    }
  }

  #send(kind: "identities" | "signature" | "success", payload: Uint8Array): void {
    const bytes = new Uint8Array(lengthBytes + payload.length);
    new DataView(bytes.buffer).setUint32(0, payload.length);
    bytes.set(payload, lengthBytes);
    this.#asked.push(kind);
    this.#options.send(bytes);
  }

  #checkedLength(): number {
    if (this.#asked.length === 0) throw new agentErrors.PEER_AGENT_INVALID("it spoke without being asked");
    const length = this.#length.readUInt32BE();
    // Nothing is allocated on the word of a length that no agent sends.
    if (length === 0 || length > maxAgentReplyBytes) {
      throw new agentErrors.PEER_AGENT_INVALID(`a reply of ${length} bytes`);
    }
    return length;
  }

  #take(payload: Uint8Array): AgentReply {
    const reply = decodeAgentReply(payload);
    const asked = this.#asked.shift();
    if (reply.kind !== "failure" && reply.kind !== asked) {
      throw new agentErrors.PEER_AGENT_INVALID(`asked for ${asked}, it answered with ${reply.kind}`);
    }
    return reply;
  }
}

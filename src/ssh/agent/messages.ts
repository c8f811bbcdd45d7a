import { PosternError } from "#base";
import { plainName } from "#ssh/keys";
import { Reader, Writer } from "#ssh/wire";
import { agentErrors } from "./errors.ts";

/** Message numbers (draft-ietf-sshm-ssh-agent, section "Message numbers"). */
const AGENT = {
  FAILURE: 5,
  SUCCESS: 6,
  REQUEST_IDENTITIES: 11,
  IDENTITIES_ANSWER: 12,
  SIGN_REQUEST: 13,
  SIGN_RESPONSE: 14,
  EXTENSION: 27,
  EXTENSION_FAILURE: 28,
} as const;

/** Flags of a request to sign: with RSA, which hash; without any, an agent signs with SHA-1. */
const signFlags: ReadonlyMap<string, number> = new Map([
  ["rsa-sha2-256", 0x02],
  ["rsa-sha2-512", 0x04],
]);

/** Keys of one agent that are looked at; OpenSSH's client takes as many. */
export const maxAgentIdentities = 2048;

/** A key that an agent holds. */
export interface AgentIdentity {
  /** Public key or certificate; of a type that we may not know. A copy. */
  readonly blob: Uint8Array;
  /** For people; made by whoever gave the agent the key. */
  readonly comment: string;
}

export interface AgentSignRequest {
  /** Which key is to sign: its blob as in the agent's list. */
  readonly blob: Uint8Array;
  readonly data: Uint8Array;
  /** Of `agentFlagsFor`. */
  readonly flags: number;
}

export type AgentReply =
  /** It will not, or cannot: it does not say why. */
  | { readonly kind: "failure" }
  | { readonly kind: "success" }
  | { readonly kind: "identities"; readonly identities: readonly AgentIdentity[] }
  /** The whole signature blob: `string algorithm, string signature`, for FIDO keys with flags and counter. A copy. */
  | { readonly kind: "signature"; readonly signature: Uint8Array };

/** The flags that ask for an algorithm, plain or of a certificate. */
export function agentFlagsFor(algorithm: string): number {
  return signFlags.get(plainName(algorithm)) ?? 0;
}

/** Payload of SSH_AGENTC_REQUEST_IDENTITIES. */
export function encodeIdentitiesRequest(): Uint8Array {
  return Uint8Array.of(AGENT.REQUEST_IDENTITIES);
}

/** Payload of SSH_AGENTC_SIGN_REQUEST. */
export function encodeSignRequest({ blob, data, flags }: AgentSignRequest): Uint8Array {
  return new Writer(blob.length + data.length + 13)
    .u8(AGENT.SIGN_REQUEST)
    .string(blob)
    .string(data)
    .u32(flags)
    .bytes();
}

/** What an agent is to know of the connection that it signs for (PROTOCOL.agent of OpenSSH, section 1). */
export interface SessionBinding {
  /** The server's host key, as a blob. */
  readonly hostKey: Uint8Array;
  readonly sessionId: Uint8Array;
  /** The whole signature blob of the host key over the session identifier, from the first key exchange. */
  readonly hostKeySignature: Uint8Array;
}

/**
 * Payload of the extension request "session-bind@openssh.com". For a login, what is bound so can be bound no further; `forwarding`
 * says that the one behind this connection asks from now on.
 */
export function encodeSessionBind(
  { hostKey, sessionId, hostKeySignature }: SessionBinding,
  forwarding = false,
): Uint8Array {
  return new Writer()
    .u8(AGENT.EXTENSION)
    .string("session-bind@openssh.com")
    .string(hostKey)
    .string(sessionId)
    .string(hostKeySignature)
    .bool(forwarding)
    .bytes();
}

/** Decodes the payload of any reply. Throws PEER_AGENT_INVALID. */
export function decodeAgentReply(payload: Uint8Array): AgentReply {
  try {
    const reader = new Reader(payload);
    const reply = readReply(reader);
    reader.expectEnd();
    return reply;
  } catch (cause) {
    if (!(cause instanceof PosternError) || cause.blame !== "PEER") throw cause;
    if (cause.code === "PEER_AGENT_INVALID") throw cause;
    throw new agentErrors.PEER_AGENT_INVALID(cause.message, { cause });
  }
}

function readReply(reader: Reader): AgentReply {
  const number = reader.u8();
  switch (number) {
    case AGENT.FAILURE:
    case AGENT.EXTENSION_FAILURE:
      return { kind: "failure" };
    case AGENT.SUCCESS:
      return { kind: "success" };
    case AGENT.IDENTITIES_ANSWER:
      return { kind: "identities", identities: readIdentities(reader) };
    case AGENT.SIGN_RESPONSE:
      return { kind: "signature", signature: Uint8Array.from(reader.string()) };
    default:
      throw new agentErrors.PEER_AGENT_INVALID(`message ${number} is no reply`);
  }
}

function readIdentities(reader: Reader): AgentIdentity[] {
  const count = reader.u32();
  if (count > maxAgentIdentities) {
    throw new agentErrors.PEER_AGENT_INVALID(`${count} keys, more than ${maxAgentIdentities}`);
  }
  const identities: AgentIdentity[] = [];
  while (identities.length < count) {
    const blob = Uint8Array.from(reader.string());
    // The comment is whatever somebody typed once: not always UTF-8, and no reason to refuse the keys.
    const comment = Buffer.from(reader.string()).toString("utf8");
    identities.push({ blob, comment });
  }
  return identities;
}

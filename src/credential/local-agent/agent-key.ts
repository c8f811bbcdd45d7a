import { PosternError } from "#base";
import type { AgentIdentity } from "#ssh/agent";
import {
  type Certificate,
  decodeAnyKey,
  fingerprint,
  keyAlgorithms,
  type KeySigner,
  parsePublicKeyLine,
  type PublicKey,
  verifySignature,
} from "#ssh/keys";
import { credentialErrors } from "../errors.ts";
import type { AgentSocket } from "./agent-socket.ts";

const fingerprintForm = /^SHA256:[A-Za-z0-9+/]{43}=?$/;

/** Why a text names no key; undefined if it does. */
export function keyNameProblem(text: string): string | undefined {
  if (fingerprintForm.test(text)) return undefined;
  try {
    parsePublicKeyLine(text);
    return undefined;
  } catch (error) {
    if (!(error instanceof PosternError)) throw error;
    return "write the key's fingerprint (SHA256:…, as `ssh-add -l` shows it) or its public line (`ssh-add -L`)";
  }
}

/**
 * The key of an agent that `name` means: a fingerprint, or a public line. No other key of that agent is ever looked at further.
 * Rejects with OPERATOR_AGENT_ errors; so do its signatures, each of which is verified before it is handed out.
 */
export async function openAgentKey(agent: AgentSocket, name: string): Promise<KeySigner> {
  const found = findIdentity(await agent.identities(), name);
  if (found === undefined) throw new credentialErrors.OPERATOR_AGENT_KEY_MISSING(`${name} in ${agent.path}`);
  const key = decodeFound(found, agent);
  return {
    publicKey: "key" in key ? key.key : key,
    blob: key.blob,
    algorithms: keyAlgorithms(key),
    async sign(algorithm, data) {
      const signature = await agent.sign(key.blob, algorithm, data);
      const { valid, reason = "" } = verifySignature(key, algorithm, data, signature);
      if (valid) return signature;
      throw new credentialErrors.OPERATOR_AGENT_BROKEN(`${agent.path}: its signature is no good: ${reason}`);
    },
  };
}

/** The very blob, if there is one; an agent may also hold the key with a certificate only, whose fingerprint it shows as the key's. */
function findIdentity(identities: readonly AgentIdentity[], name: string): AgentIdentity | undefined {
  const wanted = fingerprintForm.test(name)
    ? name.replace(/=$/, "")
    : fingerprint(parsePublicKeyLine(name).key.blob);
  return (
    identities.find(({ blob }) => fingerprint(blob) === wanted) ??
    identities.find(({ blob }) => certifiedFingerprint(blob) === wanted)
  );
}

function certifiedFingerprint(blob: Uint8Array): string | undefined {
  try {
    const key = decodeAnyKey(blob);
    return "key" in key ? fingerprint(key.key.blob) : undefined;
  } catch (error) {
    // Of a type that is not known here: then it is not the one.
    if (error instanceof PosternError && error.blame === "PEER") return undefined;
    throw error;
  }
}

function decodeFound({ blob }: AgentIdentity, agent: AgentSocket): PublicKey | Certificate {
  try {
    return decodeAnyKey(blob);
  } catch (cause) {
    if (!(cause instanceof PosternError) || cause.blame !== "PEER") throw cause;
    throw new credentialErrors.OPERATOR_AGENT_BROKEN(
      `${agent.path}: the key cannot be used: ${cause.message}`,
      {
        cause,
      },
    );
  }
}

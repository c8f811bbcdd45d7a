import type { HostKeyNews } from "#contract";
import { Slow } from "#ssh/algorithms";
import {
  encodeGlobalRequest,
  encodeRequestFailure,
  encodeRequestSuccess,
  type GlobalRequest,
} from "#ssh/messages";
import type { PacketConn } from "#ssh/transport";
import { Reader, wireErrors, Writer } from "#ssh/wire";

/** PROTOCOL of OpenSSH, section 2.5. */
export const hostKeysRequest = "hostkeys-00@openssh.com";
export const hostKeysProveRequest = "hostkeys-prove-00@openssh.com";

/** A host key of ours that a client may learn and have proven. */
export interface AnnouncedHostKey {
  readonly blob: Uint8Array;
  readonly algorithms: readonly string[];
  sign(algorithm: string, data: Uint8Array): Uint8Array | Slow<Uint8Array> | Promise<Uint8Array>;
}

/** Tells the client all our host keys, so that it can learn those to come before the old ones go. */
export function encodeHostKeys(keys: readonly AnnouncedHostKey[]): Uint8Array {
  return encodeGlobalRequest({ type: hostKeysRequest, wantReply: false, data: listed(keys) });
}

/** The same for a client whose connection ends here, where nothing is joined. */
export function hostKeyNews(
  keys: readonly AnnouncedHostKey[],
  { sessionId }: Pick<PacketConn, "sessionId">,
): HostKeyNews {
  return {
    type: hostKeysRequest,
    // Made when it is told: kept as long as its connection, it would keep a piece of Node's pool.
    get data() {
      return listed(keys);
    },
    prove: async ({ type, data }) =>
      type === hostKeysProveRequest ? await proofsOf(data, keys, sessionId, defaultRsa) : undefined,
  };
}

/** How RSA keys sign where nothing was negotiated that says otherwise. */
export const defaultRsa = "rsa-sha2-512";

function listed(keys: readonly AnnouncedHostKey[]): Uint8Array {
  const data = new Writer(1024);
  for (const key of keys) data.string(key.blob);
  return data.bytes();
}

/** Proves the keys asked for, each with a signature over the session identifier; a failure for any key that is not ours. */
export async function proveHostKeys(
  { data }: GlobalRequest,
  keys: readonly AnnouncedHostKey[],
  sessionId: Uint8Array,
  negotiatedRsa: string,
): Promise<Uint8Array> {
  const proofs = await proofsOf(data, keys, sessionId, negotiatedRsa);
  return proofs === undefined ? encodeRequestFailure() : encodeRequestSuccess(proofs);
}

async function proofsOf(
  keysAskedFor: Uint8Array,
  keys: readonly AnnouncedHostKey[],
  sessionId: Uint8Array,
  negotiatedRsa: string,
): Promise<Uint8Array | undefined> {
  const asked = readAsked(keysAskedFor, keys);
  if (asked === undefined) return undefined;
  const proofs = new Writer(1024);
  for (const key of asked) {
    const data = new Writer(1024).string(hostKeysProveRequest).string(sessionId).string(key.blob).bytes();
    const algorithm = key.algorithms.includes(negotiatedRsa) ? negotiatedRsa : key.algorithms[0];
    if (algorithm === undefined) return undefined;
    const signature = key.sign(algorithm, data);
    proofs.string(signature instanceof Slow ? await signature.run() : await signature);
  }
  return proofs.bytes();
}

function readAsked(data: Uint8Array, keys: readonly AnnouncedHostKey[]): AnnouncedHostKey[] | undefined {
  const reader = new Reader(data);
  const asked: AnnouncedHostKey[] = [];
  while (reader.left > 0) {
    const blob = reader.string();
    const key = keys.find((own) => Buffer.compare(own.blob, blob) === 0);
    // A key that is not ours, or one asked for twice: each signature costs us, so nothing is signed for either.
    if (key === undefined || asked.includes(key)) return undefined;
    asked.push(key);
  }
  if (asked.length === 0) throw new wireErrors.PEER_MESSAGE_TRUNCATED("no host key asked for");
  return asked;
}

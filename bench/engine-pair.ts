import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { defaultAlgorithms, signatureAlgorithms, Slow, systemRandom } from "#ssh/algorithms";
import { releaseOutput, Transport, type TransportEvent } from "#ssh/transport";
import { Writer } from "#ssh/wire";

/** A host key just for measuring: ed25519. */
const hostKey: { readonly blob: Uint8Array; readonly key: KeyObject } = makeHostKey();

function makeHostKey(): { blob: Uint8Array; key: KeyObject } {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  const { x = "" } = publicKey.export({ format: "jwk" });
  const blob = new Writer().string("ssh-ed25519").string(Buffer.from(x, "base64url")).bytes();
  return { blob, key: privateKey };
}

/** Two engines, client and server, after their first key exchange, joined by nothing: the caller carries the bytes. */
export interface EnginePair {
  readonly client: Transport;
  readonly server: Transport;
}

/** Makes a pair that has negotiated this cipher. */
export async function enginePair(cipher: string): Promise<EnginePair> {
  const common = {
    version: "SSH-2.0-Bench",
    algorithms: { ...defaultAlgorithms, hostKeys: ["ssh-ed25519"], ciphers: [cipher] },
    extensions: new Map<string, Uint8Array>(),
    rekey: { bytes: Number.MAX_SAFE_INTEGER, packets: 2 ** 31, ms: Number.MAX_SAFE_INTEGER },
    random: systemRandom,
    now: 0,
  };
  const client = new Transport({ ...common, role: "client" });
  const server = new Transport({
    ...common,
    role: "server",
    hostKeys: new Map([["ssh-ed25519", hostKey.blob]]),
  });
  while (client.rekeying || server.rekeying || client.pending || server.pending) {
    await settle(client);
    await settle(server);
    carry(client, server);
    carry(server, client);
  }
  return { client, server };
}

/** Hands all that one has to say to the other. */
export function carry(from: Transport, to: Transport): void {
  for (const piece of from.output()) {
    // The receiver opens where the bytes lie and keeps what it cannot open yet: they must be its own.
    to.receive(Uint8Array.from(piece));
    releaseOutput(piece);
  }
}

async function settle(engine: Transport): Promise<void> {
  for (let event = engine.next(true); event !== undefined; event = engine.next(true))
    await answer(engine, event);
}

async function answer(engine: Transport, event: TransportEvent): Promise<void> {
  switch (event.kind) {
    case "need-secret":
      engine.agreed(await event.task.run());
      return;
    case "need-host-key":
      engine.hostKeyAccepted();
      return;
    case "need-signature": {
      const inner = signatureAlgorithms.get(event.algorithm)?.sign(hostKey.key, event.data);
      if (inner === undefined) throw new Error(`no signature algorithm ${event.algorithm}`);
      const signature = inner instanceof Slow ? await inner.run() : inner;
      engine.signed(new Writer().string(event.algorithm).string(signature).bytes());
      return;
    }
    default:
  }
}

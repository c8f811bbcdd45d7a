import { defaultAlgorithms, Slow, systemRandom } from "#ssh/algorithms";
import { generatePrivateKey, type PrivateKey } from "#ssh/keys";
import {
  type Algorithms,
  payloadOf,
  type RekeyLimits,
  releaseOutput,
  Transport,
  type TransportEvent,
  type TransportOptions,
} from "#ssh/transport";

/** One engine of a pair, with what it has told so far. */
export interface Party {
  readonly transport: Transport;
  readonly events: TransportEvent[];
  /** Copies of the payloads shown. */
  readonly payloads: Uint8Array[];
}

export interface EngineOptions {
  readonly algorithms?: Partial<Algorithms>;
  readonly rekey?: RekeyLimits;
  readonly random?: (count: number) => Uint8Array;
  readonly now?: number;
  readonly firstIgnore?: Uint8Array;
}

export function clientParty(options: EngineOptions = {}): Party {
  return party({ role: "client", version: "SSH-2.0-TestClient", ...common(options) });
}

export function serverParty(
  hostKey: PrivateKey = testHostKey(),
  options: EngineOptions = {},
): Party & { hostKey: PrivateKey } {
  const { blob } = hostKey.publicKey;
  const hostKeys = new Map(hostKey.algorithms.map((name) => [name, blob]));
  const algorithms = { hostKeys: hostKey.algorithms, ...options.algorithms };
  const made = party({
    role: "server",
    version: "SSH-2.0-TestServer",
    hostKeys,
    ...common({ ...options, algorithms }),
  });
  return { ...made, hostKey };
}

let made: PrivateKey | undefined;

/** An ed25519 key, the same for all tests of the process. */
export function testHostKey(): PrivateKey {
  made ??= generatePrivateKey("ssh-ed25519", "test");
  return made;
}

function common(options: EngineOptions): Omit<TransportOptions, "role" | "version"> {
  return {
    algorithms: { ...defaultAlgorithms, ...options.algorithms },
    extensions: new Map([["server-sig-algs", Buffer.from("ssh-ed25519")]]),
    ...(options.rekey === undefined ? {} : { rekey: options.rekey }),
    random: options.random ?? systemRandom,
    now: options.now ?? 0,
    ...(options.firstIgnore === undefined ? {} : { firstIgnore: options.firstIgnore }),
  };
}

function party(options: TransportOptions): Party {
  return { transport: new Transport(options), events: [], payloads: [] };
}

/** Takes all output as one copy. */
export function outputOf(transport: Transport): Uint8Array {
  const pieces = transport.output();
  const all = Uint8Array.from(Buffer.concat(pieces));
  for (const piece of pieces) releaseOutput(piece);
  return all;
}

/** Gives bytes to a party, in chunks of `chunkBytes`, and answers what it asks. */
export async function deliver(
  to: Party & { hostKey?: PrivateKey },
  bytes: Uint8Array,
  chunkBytes: number = bytes.length,
): Promise<void> {
  for (let at = 0; at < bytes.length; at += chunkBytes) {
    const chunk = Uint8Array.from(bytes.subarray(at, at + chunkBytes));
    to.transport.receive(chunk);
    await settle(to);
    to.transport.hold();
    // Whatever the engine still needs it has copied: the caller's buffer is somebody else's now.
    chunk.fill(0xee);
  }
}

/** Lets a party tell all it can, answering what it asks for. */
export async function settle(to: Party & { hostKey?: PrivateKey }): Promise<void> {
  for (;;) {
    const event = to.transport.next(true);
    if (event === undefined) return;
    if (event.kind === "packet") {
      to.payloads.push(Uint8Array.from(payloadOf(event.packet)));
      continue;
    }
    to.events.push(event);
    if (event.kind === "need-signature" && to.hostKey !== undefined) {
      const signature = to.hostKey.sign(event.algorithm, event.data);
      to.transport.signed(signature instanceof Slow ? await signature.run() : signature);
    }
    if (event.kind === "need-secret") to.transport.agreed(await event.task.run());
    if (event.kind === "need-host-key") to.transport.hostKeyAccepted();
  }
}

/** Carries bytes both ways until both are quiet. */
export async function shuttle(
  client: Party,
  server: Party & { hostKey?: PrivateKey },
  chunkBytes?: number,
): Promise<void> {
  for (;;) {
    const toServer = outputOf(client.transport);
    const toClient = outputOf(server.transport);
    if (toServer.length === 0 && toClient.length === 0) return;
    await deliver(server, toServer, chunkBytes);
    await deliver(client, toClient, chunkBytes);
  }
}

/** Two engines after their first key exchange. */
export async function established(
  clientOptions: EngineOptions = {},
  serverOptions: EngineOptions = {},
  hostKey?: PrivateKey,
): Promise<{ client: Party; server: Party & { hostKey: PrivateKey } }> {
  const client = clientParty(clientOptions);
  const server = serverParty(hostKey ?? testHostKey(), serverOptions);
  await shuttle(client, server);
  return { client, server };
}

/**
 * Cheap ends made of our own engine, to have thousands of sessions where `ssh` and `sshd` would fill the machine: a client that
 * logs in and then stays, and a server that lets everyone in. What they cost falls on the benchmark, not on the gateway.
 */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server } from "node:net";
import { systemClock } from "#base";
import { defaultAlgorithms, Slow, systemRandom } from "#ssh/algorithms";
import { generatePrivateKey, type PrivateKey } from "#ssh/keys";
import { decodeGlobalRequest, encodeRequestFailure, MSG } from "#ssh/messages";
import { type PacketConn, type PacketView, payloadOf } from "#ssh/transport";
import { UserauthClient, UserauthServer } from "#ssh/userauth";
import { Link } from "#link";

const common = {
  version: "SSH-2.0-Bench",
  algorithms: { ...defaultAlgorithms, hostKeys: ["ssh-ed25519"] },
  extensions: new Map<string, Uint8Array>([["server-sig-algs", Buffer.from("ssh-ed25519")]]),
  random: systemRandom,
  clock: systemClock,
  handshakeMs: 60_000,
};

/** Answers keepalives, and is silent otherwise. */
export function answerGlobal(conn: PacketConn, packet: PacketView): void {
  if (packet.bytes[packet.start] !== MSG.GLOBAL_REQUEST) return;
  if (decodeGlobalRequest(payloadOf(packet)).wantReply) conn.send(encodeRequestFailure());
}

/** Logs in over a stream; resolves with the connection after USERAUTH_SUCCESS. Tells when it is gone. */
export async function logIn(
  address: { host: string; port: number },
  user: string,
  key: PrivateKey,
  ciphers: readonly string[] = defaultAlgorithms.ciphers,
  gone: () => void = () => undefined,
): Promise<Link> {
  const stream = connect(address.port, address.host);
  await once(stream, "connect");
  const link = new Link(stream, {
    ...common,
    algorithms: { ...common.algorithms, ciphers },
    role: "client",
    checkHostKey: () => undefined,
  });
  const { sessionId, hostKey } = await link.established;
  const { promise, resolve, reject } = Promise.withResolvers<Link>();
  const userauth = new UserauthClient({
    send: (payload) => link.send(payload),
    sessionId,
    user,
    hostKey,
    serverSignatureAlgorithms: ["ssh-ed25519"],
  });
  link.attach({
    packet: (packet) => {
      if (userauth.authenticated) {
        answerGlobal(link, packet);
        return;
      }
      let event = userauth.receive(payloadOf(packet));
      if (event?.kind === "choose") {
        if (event.lastFailed) link.destroy();
        event = userauth.proveKey(key, "ssh-ed25519");
      }
      if (event?.kind === "need-signature") {
        const signature = key.sign(event.algorithm, event.data);
        if (signature instanceof Slow) throw new Error("an ed25519 key signs at once");
        userauth.signed(signature);
      }
      if (event?.kind === "success") resolve(link);
    },
    closed: (close) => {
      reject(new Error(`not logged in: ${close.kind} ${close.description ?? ""}`, { cause: close.error }));
      gone();
    },
  });
  userauth.start();
  return await promise;
}

export interface EngineServer extends AsyncDisposable {
  readonly host: string;
  readonly port: number;
  readonly hostKey: PrivateKey;
}

/** Lets everyone in with any key; then the connection is `serve`'s, or nothing happens on it. */
export async function startEngineServer(serve?: (link: Link) => void): Promise<EngineServer> {
  const hostKey = generatePrivateKey("ssh-ed25519");
  const links = new Set<Link>();
  const server: Server = createServer({ pauseOnConnect: true }, (stream) => {
    const link = new Link(stream, { ...common, role: "server", hostKeys: [hostKey] });
    links.add(link);
    link.established.then(
      ({ sessionId }) => admit(link, sessionId, hostKey.blob, () => links.delete(link), serve),
      () => links.delete(link),
    );
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    host: "127.0.0.1",
    port,
    hostKey,
    [Symbol.asyncDispose]: async () => {
      for (const link of links) link.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

function admit(
  link: Link,
  sessionId: Uint8Array,
  hostKey: Uint8Array,
  closed: () => void,
  serve: ((link: Link) => void) | undefined,
): void {
  const userauth = new UserauthServer({
    send: (payload) => link.send(payload),
    sessionId,
    hostKey,
    signatureAlgorithms: ["ssh-ed25519"],
    maxAttempts: 10,
  });
  link.attach({
    packet: (packet) => {
      if (userauth.accepted) {
        answerGlobal(link, packet);
        return;
      }
      const event = userauth.receive(payloadOf(packet));
      if (event?.kind !== "attempt") return;
      if (event.attempt.method !== "publickey") userauth.reject(["publickey"]);
      else if (event.attempt.proof === "none") userauth.acceptKey();
      else {
        userauth.accept();
        serve?.(link);
      }
    },
    closed,
  });
}

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { Slow } from "#ssh/algorithms";
import {
  type Certificate,
  generatePrivateKey,
  type PrivateKey,
  parsePrivateKey,
  parsePublicKeyLine,
  withCertificate,
} from "#ssh/keys";
import { encodeServiceRequest, encodeUserauthRequest, type InfoRequest, MSG } from "#ssh/messages";
import { type PacketConn, payloadOf } from "#ssh/transport";
import { packetPipe } from "#test/support/packet-pipe";
import { rawPeer } from "#test/support/raw-peer";
import { serverSignatureAlgorithms, supportsHostbound } from "./algorithms.ts";
import { UserauthClient, type UserauthClientEvent } from "./client.ts";
import { UserauthServer, type UserauthServerEvent } from "./server.ts";

const signatureAlgorithms = ["ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-512", "rsa-sha2-256"];

/** Events of one side, taken one by one. */
class Events<T> {
  readonly #ready: T[] = [];
  readonly #waiting: ((event: T) => void)[] = [];

  put(event: T | undefined): void {
    if (event === undefined) return;
    const waiting = this.#waiting.shift();
    if (waiting === undefined) this.#ready.push(event);
    else waiting(event);
  }

  next(): Promise<T> {
    const event = this.#ready.shift();
    return event === undefined
      ? new Promise((resolve) => this.#waiting.push(resolve))
      : Promise.resolve(event);
  }
}

interface Dialogue {
  readonly client: UserauthClient;
  readonly server: UserauthServer;
  readonly clientConn: PacketConn;
  readonly clientNext: () => Promise<UserauthClientEvent>;
  readonly attempt: () => Promise<Extract<UserauthServerEvent, { kind: "attempt" }>>;
  readonly responses: () => Promise<string[]>;
}

/** Both engines over a pipe, after the service was granted. */
async function dialogue(
  options: { hostbound?: boolean; delivery?: "sync" | "microtask" } = {},
): Promise<Dialogue> {
  const extensions = new Map([["server-sig-algs", Buffer.from(signatureAlgorithms.join())]]);
  if (options.hostbound ?? true) extensions.set("publickey-hostbound@openssh.com", Buffer.from("0"));
  const [clientConn, serverConn] = packetPipe({
    delivery: options.delivery ?? "microtask",
    extensions: [extensions, new Map()],
  });
  const server = new UserauthServer({
    send: (payload) => serverConn.send(payload),
    sessionId: serverConn.sessionId,
    hostKey: serverConn.hostKey,
    signatureAlgorithms,
    maxAttempts: 6,
  });
  const client = new UserauthClient({
    send: (payload) => clientConn.send(payload),
    sessionId: clientConn.sessionId,
    user: "alice",
    hostKey: clientConn.hostKey,
    serverSignatureAlgorithms: serverSignatureAlgorithms(clientConn.extensions),
    hostbound: supportsHostbound(clientConn.extensions),
  });
  const clientEvents = new Events<UserauthClientEvent>();
  const serverEvents = new Events<UserauthServerEvent>();
  clientConn.attach({
    packet: (packet) => clientEvents.put(client.receive(payloadOf(packet))),
    closed: fail,
  });
  serverConn.attach({
    packet: (packet) => serverEvents.put(server.receive(payloadOf(packet))),
    ready: () => !server.busy,
    closed: fail,
  });
  client.start();
  const first = await clientEvents.next();
  assert.deepEqual(first, { kind: "choose", methods: [], partialSuccess: false, lastFailed: false });
  return {
    client,
    server,
    clientConn,
    clientNext: () => clientEvents.next(),
    attempt: async () => {
      serverConn.resume();
      const event = await serverEvents.next();
      assert(event.kind === "attempt");
      return event;
    },
    responses: async () => {
      const event = await serverEvents.next();
      assert(event.kind === "responses");
      return event.responses.map((response) => Buffer.from(response).toString());
    },
  };
}

function fail(close: unknown): void {
  assert.fail(JSON.stringify(close));
}

async function sign(
  client: UserauthClient,
  key: PrivateKey,
  event: UserauthClientEvent | undefined,
): Promise<void> {
  assert(event?.kind === "need-signature");
  const made = key.sign(event.algorithm, event.data);
  client.signed(made instanceof Slow ? await made.run() : made);
}

const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text));

for (const delivery of ["sync", "microtask"] as const) {
  test(`none, then a wrong and a right password, ${delivery}`, async () => {
    const { client, server, clientNext, attempt } = await dialogue({ delivery });
    client.tryNone();
    assert.equal((await attempt()).attempt.method, "none");
    server.reject(["publickey", "password"]);
    assert.deepEqual(await clientNext(), {
      kind: "choose",
      methods: ["publickey", "password"],
      partialSuccess: false,
      lastFailed: true,
    });
    for (const password of ["wrong", "right"]) {
      client.tryPassword(bytes(password));
      const { attempt: tried, user } = await attempt();
      assert(tried.method === "password" && user === "alice");
      if (Buffer.from(tried.password).toString() === "right") server.accept();
      else server.reject(["password"]);
      const event = await clientNext();
      assert.equal(event.kind, password === "right" ? "success" : "choose");
    }
    assert(client.authenticated && server.accepted);
  });
}

test("none can be enough", async () => {
  const { client, server, clientNext, attempt } = await dialogue();
  client.tryNone();
  await attempt();
  server.accept();
  assert.equal((await clientNext()).kind, "success");
});

for (const type of ["ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa"] as const) {
  for (const hostbound of [true, false]) {
    test(`${type}: query, then proof, ${hostbound ? "bound to the host key" : "plain"}`, async () => {
      const { client, server, clientNext, attempt } = await dialogue({ hostbound });
      const key = generatePrivateKey(type);
      assert(client.tryKey(key));
      const query = await attempt();
      assert(query.attempt.method === "publickey" && query.attempt.proof === "none");
      assert.equal(query.attempt.hostbound, hostbound);
      assert.equal(query.attempt.algorithm, type === "ssh-rsa" ? "rsa-sha2-512" : type);
      server.acceptKey();
      await sign(client, key, await clientNext());
      const proof = await attempt();
      assert(proof.attempt.method === "publickey" && proof.attempt.proof === "valid");
      assert.deepEqual(proof.attempt.key?.blob, key.blob);
      server.accept();
      assert.equal((await clientNext()).kind, "success");
    });
  }
}

test("a key that is not wanted, then one proven without a query", async () => {
  const { client, server, clientNext, attempt } = await dialogue();
  client.tryKey(generatePrivateKey("ssh-ed25519"));
  await attempt();
  server.reject(["publickey"]);
  assert.equal((await clientNext()).kind, "choose");
  const key = generatePrivateKey("ssh-ed25519");
  await sign(client, key, client.proveKey(key));
  const proof = await attempt();
  assert(proof.attempt.method === "publickey" && proof.attempt.proof === "valid");
  server.accept();
  assert.equal((await clientNext()).kind, "success");
});

test("a certificate proves itself by the key inside", async () => {
  const fixture = (name: string): string =>
    readFileSync(new URL(`../keys/fixtures/${name}`, import.meta.url), "utf8");
  const plain = await parsePrivateKey(fixture("id_ed25519"), "correct horse");
  const certificate = parsePublicKeyLine(fixture("id_ed25519-cert.pub")).key as Certificate;
  const key = withCertificate(plain, certificate);
  const { client, server, clientNext, attempt } = await dialogue();
  client.tryKey(key);
  const query = await attempt();
  assert(query.attempt.method === "publickey" && query.attempt.key !== undefined);
  assert.equal(query.attempt.algorithm, "ssh-ed25519-cert-v01@openssh.com");
  server.acceptKey();
  await sign(client, key, await clientNext());
  const proof = await attempt();
  assert(proof.attempt.method === "publickey" && proof.attempt.proof === "valid");
  assert.equal(proof.attempt.key?.type, "ssh-ed25519-cert-v01@openssh.com");
  server.accept();
  assert.equal((await clientNext()).kind, "success");
});

test("a key, then a password, each passed in part (AuthenticationMethods publickey,password)", async () => {
  const { client, server, clientNext, attempt } = await dialogue();
  const key = generatePrivateKey("ssh-ed25519");
  await sign(client, key, client.proveKey(key));
  await attempt();
  server.reject(["password"], true);
  assert.deepEqual(await clientNext(), {
    kind: "choose",
    methods: ["password"],
    partialSuccess: true,
    lastFailed: false,
  });
  client.tryPassword(bytes("right"));
  await attempt();
  server.accept();
  assert.equal((await clientNext()).kind, "success");
});

test("an expired password is changed, with a banner in between", async () => {
  const { client, server, clientNext, attempt } = await dialogue();
  client.tryPassword(bytes("old"));
  await attempt();
  server.banner("your password is old\n");
  server.requestPasswordChange("New password: ");
  assert.deepEqual(await clientNext(), { kind: "banner", text: "your password is old\r\n" });
  assert.deepEqual(await clientNext(), { kind: "password-change", prompt: "New password: " });
  client.tryPassword(bytes("old"), bytes("new"));
  const { attempt: change } = await attempt();
  assert(change.method === "password" && change.newPassword !== undefined);
  assert.equal(Buffer.from(change.newPassword).toString(), "new");
  server.accept();
  assert.equal((await clientNext()).kind, "success");
});

test("keyboard-interactive with three rounds, the last without prompts", async () => {
  const { client, server, clientNext, attempt, responses } = await dialogue();
  client.tryKeyboardInteractive("pam,otp");
  const { attempt: start } = await attempt();
  assert(start.method === "keyboard-interactive" && start.submethods === "pam,otp");
  const rounds: readonly InfoRequest[] = [
    { name: "Login", instruction: "first", prompts: [{ text: "Password: ", echo: false }] },
    {
      name: "",
      instruction: "",
      prompts: [
        { text: "Código: ", echo: true },
        { text: "Again: ", echo: true },
      ],
    },
    { name: "", instruction: "welcome", prompts: [] },
  ];
  for (const request of rounds) {
    server.challenge(request);
    assert.deepEqual(await clientNext(), { kind: "prompts", request });
    const answers = request.prompts.map((_, n) => `answer ${n}`);
    client.answer(answers.map(bytes));
    assert.deepEqual(await responses(), answers);
  }
  server.accept();
  assert.equal((await clientNext()).kind, "success");
});

test("prompts left unanswered for another method", async () => {
  const { client, server, clientNext, attempt } = await dialogue();
  client.tryKeyboardInteractive();
  await attempt();
  server.challenge({ name: "", instruction: "", prompts: [{ text: "?", echo: false }] });
  assert.equal((await clientNext()).kind, "prompts");
  client.tryPassword(bytes("right"));
  const event = await attempt();
  assert(event.abandoned && event.attempt.method === "password");
  server.accept();
  assert.equal((await clientNext()).kind, "success");
});

test("requests sent ahead are read one after the other, as each is answered", () => {
  const { conn, peer } = rawPeer();
  const server = new UserauthServer({
    send: (payload) => conn.send(payload),
    sessionId: conn.sessionId,
    hostKey: conn.hostKey,
    signatureAlgorithms,
    maxAttempts: 6,
  });
  const methods: string[] = [];
  conn.attach({
    packet: (packet) => {
      const event = server.receive(payloadOf(packet));
      if (event?.kind === "attempt") methods.push(event.attempt.method);
    },
    ready: () => !server.busy,
    closed: fail,
  });
  const request = { user: "alice", service: "ssh-connection" };
  peer.send(
    encodeServiceRequest("ssh-userauth"),
    encodeUserauthRequest({ ...request, method: "none" }),
    encodeUserauthRequest({ ...request, method: "password", password: bytes("right") }),
    encodeUserauthRequest({ ...request, method: "password", password: bytes("needless") }),
  );
  conn.resume();
  assert.deepEqual(methods, ["none"]);
  assert.equal(conn.unread, 2);
  server.reject(["password"]);
  conn.resume();
  assert.deepEqual(methods, ["none", "password"]);
  server.accept();
  conn.resume();
  assert.equal(conn.unread, 0);
  assert.deepEqual(methods, ["none", "password"]);
  assert.deepEqual(peer.numbers(), [MSG.SERVICE_ACCEPT, MSG.USERAUTH_FAILURE, MSG.USERAUTH_SUCCESS]);
});

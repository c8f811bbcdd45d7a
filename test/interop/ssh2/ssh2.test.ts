/** ssh2 for Node, as client of the gateway and as upstream behind it, over every algorithm both know. */
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import type { Duplex, Readable } from "node:stream";
import { sha256 } from "#test/support/data";
import {
  casesFor,
  echoThrough,
  interopBytes,
  keyKindOf,
  startInterop,
  titleOf,
  type Case,
  type Known,
} from "#test/support/interop";
import { missing } from "#test/support/strangers";
import { within } from "#test/support/waiting";
import { bareKey } from "#test/support/test-keys";
import type { World } from "#test/support/world";

/** The parts of ssh2 that are used here; it brings no types. */
interface ServerChannel extends Duplex {
  readonly stderr: Duplex;
  exit(code: number): void;
}
interface ClientChannel extends Duplex {
  readonly stderr: Readable;
}
interface AuthContext {
  readonly method: string;
  readonly key?: { readonly data: Buffer };
  accept(): void;
  reject(methods: string[]): void;
}
interface ServerConnection {
  on(event: "authentication", listener: (context: AuthContext) => void): this;
  on(event: "session", listener: (accept: () => ServerSession) => void): this;
  on(event: "error", listener: (error: Error) => void): this;
  rekey(): void;
}
interface ServerSession {
  on(event: "exec", listener: (accept: () => ServerChannel) => void): this;
}
interface Server {
  listen(port: number, host: string, done: () => void): void;
  address(): AddressInfo;
  close(): void;
}
interface Client {
  on(event: "ready", listener: () => void): this;
  on(event: "error", listener: (error: Error) => void): this;
  on(event: "rekey" | "handshake", listener: () => void): this;
  connect(options: object): void;
  exec(command: string, done: (error: Error | undefined, channel: ClientChannel) => void): void;
  /** Its Server has rekey(), its Client has not. */
  readonly _protocol: { rekey(): void };
  end(): void;
}
interface Ssh2 {
  readonly Client: new () => Client;
  readonly Server: new (options: object, connected: (connection: ServerConnection) => void) => Server;
}
interface Constants {
  readonly SUPPORTED_KEX: readonly string[];
  readonly SUPPORTED_CIPHER: readonly string[];
  readonly SUPPORTED_MAC: readonly string[];
  readonly SUPPORTED_SERVER_HOST_KEY: readonly string[];
}

const require = createRequire(import.meta.url);
const ssh2 = require("ssh2") as Ssh2;
const constants = require("ssh2/lib/protocol/constants.js") as Constants;
const ssh2Knows: Known = {
  kex: constants.SUPPORTED_KEX,
  cipher: constants.SUPPORTED_CIPHER,
  mac: constants.SUPPORTED_MAC,
  hostKeyAlgorithm: constants.SUPPORTED_SERVER_HOST_KEY,
};

function algorithms({ kex, cipher, mac, hostKeyAlgorithm }: Case): object {
  return {
    ...(kex === undefined ? {} : { kex: [kex] }),
    ...(cipher === undefined ? {} : { cipher: [cipher] }),
    ...(mac === undefined ? {} : { hmac: [mac] }),
    ...(hostKeyAlgorithm === undefined ? {} : { serverHostKey: [hostKeyAlgorithm] }),
  };
}

const skip = missing("ssh", "sshd");

test("ssh2 as client", { skip, timeout: 280_000 }, async (t) => {
  await using world = await startInterop();
  const known = new Set(world.gateway.hostKeys.map((key) => bareKey(key.publicLine).split(" ")[1]));
  for (const choice of casesFor(ssh2Knows)) {
    await t.test(titleOf(choice), async () => {
      const { host, port, user } = world.gateway.target(world.user.name);
      const client = new ssh2.Client();
      const talked = new Promise<Buffer>((resolve, reject) => {
        client.on("error", reject);
        client.on("ready", () => {
          client.exec("cat", (error, channel) => {
            if (error !== undefined) {
              reject(error);
              return;
            }
            const chunks: Buffer[] = [];
            channel.on("data", (chunk: Buffer) => chunks.push(chunk));
            channel.on("close", () => resolve(Buffer.concat(chunks)));
            channel.write(interopBytes.subarray(0, 150_000));
            client._protocol.rekey();
            channel.end(interopBytes.subarray(150_000));
          });
        });
      });
      client.connect({
        host,
        port,
        username: user,
        privateKey: readFileSync(world.identity.path),
        hostVerifier: (key: Buffer) => known.has(key.toString("base64")),
        algorithms: algorithms(choice),
      });
      try {
        assert.equal(sha256(await within("all data back", talked)), sha256(interopBytes));
      } finally {
        client.end();
      }
    });
  }
});

/** An ssh2 server with one choice of algorithms: every command gets its input back, and exit status 7. */
async function startServer(world: World, choice: Case): Promise<Server> {
  const kind = keyKindOf[choice.hostKeyAlgorithm ?? "ssh-ed25519"] ?? "ed25519";
  const hostKeys = [readFileSync(world.keys.key(kind, "host").path)];
  const allowed = bareKey(world.gatewayKey.publicLine).split(" ")[1];
  const server = new ssh2.Server({ hostKeys, algorithms: algorithms(choice) }, (connection) => {
    connection.on("error", () => undefined);
    connection.on("authentication", (context) => {
      if (context.method === "publickey" && context.key?.data.toString("base64") === allowed)
        context.accept();
      else context.reject(["publickey"]);
    });
    connection.on("session", (accept) => {
      accept().on("exec", (acceptExec) => {
        const channel = acceptExec();
        const chunks: Buffer[] = [];
        channel.on("data", (chunk: Buffer) => chunks.push(chunk));
        channel.on("end", () => {
          connection.rekey();
          channel.write(Buffer.concat(chunks), () => {
            channel.exit(7);
            channel.end();
          });
        });
      });
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  return server;
}

test("ssh2 as upstream", { skip, timeout: 280_000 }, async (t) => {
  await using world = await startInterop();
  // As a server it says of group exchange: "not implemented".
  const kex = ssh2Knows.kex.filter((name) => !name.includes("group-exchange"));
  for (const choice of casesFor({ ...ssh2Knows, kex })) {
    await t.test(titleOf(choice), async () => {
      const server = await startServer(world, choice);
      try {
        await echoThrough(world, server.address().port, { code: 7 });
      } finally {
        server.close();
      }
    });
  }
});

import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { formatPublicKey, parsePrivateKey, type PrivateKey } from "#ssh/keys";
import {
  encodeGlobalRequest,
  encodeServiceAccept,
  encodeServiceRequest,
  encodeUserauthRequest,
  encodeUserauthSuccess,
  MSG,
  userauthSignedData,
} from "#ssh/messages";
import type { Algorithms, Transport } from "#ssh/transport";
import { clientParty, deliver, outputOf, type Party, serverParty } from "#test/support/engines";
import { Child } from "#test/support/child";
import { startSshd } from "#test/support/sshd";
import { stranger } from "#test/support/strangers";
import type { KeyKind } from "#test/support/test-keys";
import { type Chunk, fixedRandom, pathOf, readRecording, updating, writeRecording } from "./recording.ts";

/**
 * Handshakes with OpenSSH, said once and replayed offline with the same randomness: what we send must be the same, byte for byte,
 * and what the peer sent must be understood. `UPDATE_RECORDINGS=1` says them anew with the ssh and sshd installed.
 */
interface Case {
  readonly name: string;
  readonly algorithms: Partial<Algorithms>;
  readonly hostKey?: KeyKind;
}

const ciphers = [
  "aes128-gcm@openssh.com",
  "aes256-gcm@openssh.com",
  "chacha20-poly1305@openssh.com",
  "aes128-ctr",
  "aes192-ctr",
  "aes256-ctr",
];
const macs = [
  "hmac-sha2-256",
  "hmac-sha2-512",
  "hmac-sha2-256-etm@openssh.com",
  "hmac-sha2-512-etm@openssh.com",
];
const kexes = [
  "curve25519-sha256",
  "curve25519-sha256@libssh.org",
  "ecdh-sha2-nistp256",
  "ecdh-sha2-nistp384",
  "ecdh-sha2-nistp521",
  "diffie-hellman-group14-sha256",
  "diffie-hellman-group16-sha512",
  "diffie-hellman-group18-sha512",
  "diffie-hellman-group-exchange-sha256",
];

const cases: Case[] = [
  ...kexes.map((kex) => ({ name: `kex-${kex}`, algorithms: { kex: [kex] } })),
  ...ciphers.map((cipher) => ({
    name: `cipher-${cipher}`,
    algorithms: { kex: ["curve25519-sha256"], ciphers: [cipher] },
  })),
  ...macs.map((mac) => ({
    name: `mac-${mac}`,
    algorithms: { kex: ["curve25519-sha256"], ciphers: ["aes128-ctr"], macs: [mac] },
  })),
];

const asClient: Case[] = [
  ...cases,
  {
    name: "host-key-ecdsa",
    algorithms: { kex: ["curve25519-sha256"], hostKeys: ["ecdsa-sha2-nistp256"] },
    hostKey: "ecdsa-256",
  },
  {
    name: "host-key-rsa",
    algorithms: { kex: ["curve25519-sha256"], hostKeys: ["rsa-sha2-512"] },
    hostKey: "rsa",
  },
];

/** Our server chooses no group of its own accord that is the same each time, but the ML-KEM half and ECDSA are random inside OpenSSL. */
const asServer = cases;

/** What we say once the keys are exchanged: a login, and two questions with an exchange of keys between them. */
class ClientScript {
  #asked = 0;
  #seen = 0;

  next(party: Party): void {
    for (const event of party.events.splice(0)) {
      if (event.kind !== "kex-done") continue;
      party.transport.send(event.first ? encodeServiceRequest("ssh-userauth") : question);
    }
    for (const payload of party.payloads.slice(this.#seen)) {
      this.#seen++;
      if (payload[0] === MSG.SERVICE_ACCEPT) party.transport.send(login(party.transport.sessionId));
      if (payload[0] === MSG.USERAUTH_SUCCESS) party.transport.send(question);
      if (payload[0] === MSG.REQUEST_FAILURE) this.#answered(party.transport);
    }
  }

  #answered(transport: Transport): void {
    if (++this.#asked === 1) transport.rekey();
    else transport.disconnect(11, "enough");
  }

  get over(): boolean {
    return this.#asked === 2;
  }
}

const question = encodeGlobalRequest({
  type: "keepalive@openssh.com",
  wantReply: true,
  data: new Uint8Array(0),
});

function login(sessionId: Uint8Array): Uint8Array {
  const { blob } = key.publicKey;
  const request = { user: "root", service: "ssh-connection", algorithm: "ssh-ed25519", key: blob } as const;
  const signature = key.sign(request.algorithm, userauthSignedData(sessionId, request));
  assert.ok(signature instanceof Uint8Array);
  return encodeUserauthRequest({ ...request, method: "publickey", signature });
}

/** What we answer as server: welcome, whoever it is; and new keys as soon as a channel is asked for. */
class ServerScript {
  #seen = 0;
  #over = false;

  next(party: Party): void {
    for (const event of party.events.splice(0)) {
      if (event.kind !== "kex-done" || event.first) continue;
      party.transport.disconnect(11, "enough");
      this.#over = true;
    }
    for (const payload of party.payloads.slice(this.#seen)) {
      this.#seen++;
      if (payload[0] === MSG.SERVICE_REQUEST) party.transport.send(encodeServiceAccept("ssh-userauth"));
      if (payload[0] === MSG.USERAUTH_REQUEST) party.transport.send(encodeUserauthSuccess());
      if (payload[0] === MSG.CHANNEL_OPEN) party.transport.rekey();
    }
  }

  get over(): boolean {
    return this.#over;
  }
}

type Script = ClientScript | ServerScript;

function clientOf(each: Case): Party {
  return clientParty({ algorithms: each.algorithms, random: fixedRandom(1) });
}

/** The host key of our server and the key of our client. */
const key: PrivateKey = await parsePrivateKey(readFileSync(pathOf("ed25519"), "utf8"));

function serverOf(each: Case): Party & { hostKey: PrivateKey } {
  return serverParty(key, { algorithms: each.algorithms, random: fixedRandom(2) });
}

async function replay(name: string, party: Party & { hostKey?: PrivateKey }, script: Script): Promise<void> {
  for (const [n, chunk] of readRecording(name).entries()) {
    if (chunk.by === "peer") {
      await deliver(party, chunk.bytes);
      script.next(party);
    } else {
      assert.equal(
        Buffer.from(outputOf(party.transport)).toString("hex"),
        Buffer.from(chunk.bytes).toString("hex"),
        `chunk ${n}`,
      );
    }
  }
  assert.equal(script.over, true, "the whole conversation was understood");
}

/** Talks to the program at the other end of a socket, and keeps what was said. */
async function record(
  socket: Socket,
  party: Party & { hostKey?: PrivateKey },
  script: Script,
): Promise<Chunk[]> {
  const chunks: Chunk[] = [];
  const say = (): void => {
    const bytes = outputOf(party.transport);
    if (bytes.length === 0) return;
    chunks.push({ by: "us", bytes });
    socket.write(bytes);
  };
  say();
  for await (const chunk of socket) {
    chunks.push({ by: "peer", bytes: Buffer.from(chunk as Uint8Array) });
    await deliver(party, chunk as Uint8Array);
    script.next(party);
    say();
    if (script.over) break;
  }
  socket.destroy();
  return chunks;
}

for (const each of asClient) {
  test(`recorded: our client with sshd, ${each.name}`, async () => {
    const name = `client-${each.name}`;
    if (updating) {
      await using sshd = await startSshd({
        hostKeys: [each.hostKey ?? "ed25519"],
        authorizedKeys: [formatPublicKey(key.publicKey.blob)],
      });
      const socket = connect(sshd.port, sshd.host);
      await once(socket, "connect");
      writeRecording(
        name,
        `sshd answers our client; ${each.name}`,
        await record(socket, clientOf(each), new ClientScript()),
      );
    }
    await replay(name, clientOf(each), new ClientScript());
  });
}

for (const each of asServer) {
  test(`recorded: our server with ssh, ${each.name}`, async () => {
    const name = `server-${each.name}`;
    if (updating) {
      const listener = createServer({ pauseOnConnect: true });
      listener.listen(0, "127.0.0.1");
      await once(listener, "listening");
      const address = listener.address();
      assert.ok(address !== null && typeof address === "object");
      const options = [
        "BatchMode=yes",
        "StrictHostKeyChecking=no",
        "UserKnownHostsFile=/dev/null",
        "IdentityFile=none",
      ];
      const args = [
        ...options.flatMap((option) => ["-o", option]),
        "-F",
        "none",
        "-p",
        String(address.port),
        "nobody@127.0.0.1",
      ];
      await using _ssh = new Child(stranger("ssh"), args);
      const [socket] = (await once(listener, "connection")) as [Socket];
      writeRecording(
        name,
        `ssh asks our server; ${each.name}`,
        await record(socket, serverOf(each), new ServerScript()),
      );
      listener.close();
    }
    await replay(name, serverOf(each), new ServerScript());
  });
}

/** Client certificates in TLS that ends at the gateway: asked for, matched by rules, and required by a listener. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { connect, type TLSSocket } from "node:tls";
import { type CertificatePair, selfSigned, signedBy } from "#test/support/certificates";
import { run } from "#test/support/child";
import { dialGateway, type EntryWorld, read, startEntryWorld } from "#test/support/entries";
import { portOf } from "#test/support/gateway";
import { sshSettings } from "#test/support/ssh";
import { missing, stranger } from "#test/support/strangers";
import { tempDir, type TempDir } from "#test/support/temp-dir";

const skip = missing("ssh", "sshd", "openssl");
let folder: TempDir;
let world: EntryWorld;
let authority: CertificatePair;
let ada: CertificatePair;
let eve: CertificatePair;
let stranded: CertificatePair;
let strict = 0;

before(async () => {
  if (skip !== false) return;
  folder = await tempDir();
  const targets = await selfSigned(folder, "targets", "web1", "web2", "secret", "nowhere");
  const gate = await selfSigned(folder, "gate", "gate.example");
  authority = await selfSigned(folder, "authority");
  const other = await selfSigned(folder, "other");
  ada = await signedBy(authority, folder, "ada", "email:ada@example.com");
  eve = await signedBy(authority, folder, "eve", "email:eve@elsewhere.example");
  stranded = await signedBy(other, folder, "stranded", "email:ada@example.com");
  const entries = ["ssh", "version", "tls", "http", "websocket"];
  world = await startEntryWorld({
    listener: { entries, silentSeconds: "5s" },
    config: {
      listen: [
        { address: "127.0.0.1:0", entries, silentSeconds: "5s" },
        { address: "127.0.0.2:0", entries, silentSeconds: "5s", clientCertificate: "required" },
      ],
      tls: {
        certificates: [targets, gate],
        gatewayNames: ["gate.example"],
        clientAuthorities: authority.certificate,
      },
    },
    rules: [
      {
        name: "ada",
        mode: "splice",
        match: { clientCertificate: ["email:*@example.com"] },
        targets: ["web1"],
      },
      { name: "all", mode: "splice", match: { from: ["127.0.0.1"] }, targets: ["web2"] },
    ],
  });
  const line = await world.gateway.waitForLog("the strict listener", ({ address }) =>
    String(address).startsWith("127.0.0.2:"),
  );
  strict = portOf(line);
});
after(async () => {
  await world?.[Symbol.asyncDispose]();
  await folder?.[Symbol.asyncDispose]();
});

function client(servername: string, shown?: CertificatePair, host = "127.0.0.1"): TLSSocket {
  const port = host === "127.0.0.1" ? world.gateway.port : strict;
  const pair =
    shown === undefined ? {} : { cert: readFileSync(shown.certificate), key: readFileSync(shown.key) };
  const socket = connect({ host, port, servername, rejectUnauthorized: false, ...pair });
  socket.on("error", (error: NodeJS.ErrnoException) =>
    (said.get(socket) ?? []).push(error.code ?? error.message),
  );
  said.set(socket, []);
  return socket;
}
const said = new WeakMap<TLSSocket, string[]>();

/** What comes back for a name: the beginning of the target's or the gateway's words, or the alert. */
async function outcome(servername: string, shown?: CertificatePair, host?: string): Promise<string> {
  const socket = client(servername, shown, host);
  const text = await read(socket, (each) => each.includes("OpenSSH_") && !each.includes("Postern"));
  socket.destroy();
  return text === "" ? (said.get(socket) ?? []).join() : text;
}

const denied = /^SSH-2\.0-Postern[\s\S]*There is no such target here, or it is not for you\./;

test("openssl s_client with a certificate: SSH ends at a target that a rule opens to it", {
  skip,
}, async () => {
  const proxy = `ProxyCommand=${stranger("openssl")} s_client -quiet -connect 127.0.0.1:${world.gateway.port} -servername web1 -cert ${ada.certificate} -key ${ada.key}`;
  const { knownHosts, identity } = world;
  const target = { host: "web1", port: 22, user: "root", knownHosts, identity: identity.path };
  const command = [...sshSettings(target, { options: [proxy] }), "-l", process.env["USER"] ?? "root"];
  const { stdout, stderr } = await run(stranger("ssh"), [...command, "web1", "echo $TARGET; cat | wc -c"], {
    stdin: { data: Buffer.alloc(1_000_000) },
  });
  assert.equal(stdout.toString(), "web1\n1000000\n", stderr);
});

test("who shows none, one of somebody else's, or one that no authority of ours vouches for, is refused", {
  skip,
}, async () => {
  assert.match(await outcome("web1", ada), /^SSH-2\.0-OpenSSH/);
  for (const shown of [undefined, eve, stranded]) {
    // A target that is there, one that is not, and one for nobody: in the same words.
    for (const name of ["web1", "secret", "nowhere"]) assert.match(await outcome(name, shown), denied, name);
    // What needs no certificate needs none.
    assert.match(await outcome("web2", shown), /^SSH-2\.0-OpenSSH/);
  }
  assert.match(await outcome("secret", ada), denied);
  assert.equal(await outcome("no-certificate.example", ada), "ERR_SSL_TLSV1_UNRECOGNIZED_NAME");
});

test("a name that no certificate can hold is one that is not there", { skip }, async () => {
  for (const name of ["no-certificate.example", "web1\u0000x", "\u0000", "", "w\u00e9b", "x".repeat(5000)]) {
    const socket = await dialGateway(world.gateway);
    socket.write(helloFor(name));
    const alert = Buffer.from(await read(socket), "latin1").toString("hex");
    assert.equal(alert, "15030300020270", JSON.stringify(name.slice(0, 30)));
  }
  assert.ok(!world.gateway.child.stderr.includes("BUG_"));
  // What a client says takes no more of the log than a name does.
  assert.ok(!world.gateway.child.stderr.includes("x".repeat(1000)));
});

/** A ClientHello that says little but the name. */
function helloFor(name: string): Uint8Array {
  const sized = (bytes: number, ...parts: readonly Uint8Array[]): Uint8Array => {
    const all = Buffer.concat(parts);
    const length = Buffer.alloc(bytes);
    length.writeUIntBE(all.length, 0, bytes);
    return Buffer.concat([length, all]);
  };
  const list = sized(2, Uint8Array.of(0), sized(2, Buffer.from(name, "latin1")));
  const extensions = sized(2, Uint8Array.of(0, 0), sized(2, list));
  const start = [Uint8Array.of(3, 3), Buffer.alloc(32), Uint8Array.of(0, 0, 2, 0x13, 1, 1, 0)];
  const message = Buffer.concat([Uint8Array.of(1), sized(3, ...start, extensions)]);
  return Buffer.concat([Uint8Array.of(22, 3, 1), sized(2, message)]);
}

test("inside the gateway's own TLS the certificate counts for the other ways", { skip }, async () => {
  const ask = async (text: string, shown?: CertificatePair): Promise<string> => {
    const socket = client("gate.example", shown);
    socket.write(text);
    const answer = await read(socket, (each) => each.includes("OpenSSH_"));
    socket.destroy();
    return answer;
  };
  const http = "CONNECT web1:22 HTTP/1.1\r\nHost: web1:22\r\n\r\n";
  assert.match(await ask(http, ada), /^HTTP\/1\.1 200 [\s\S]*SSH-2\.0-OpenSSH/);
  for (const shown of [undefined, eve, stranded]) assert.match(await ask(http, shown), /^HTTP\/1\.1 403 /);
  assert.match(await ask("SSH-2.0-x Host: web1\r\n", ada), /^SSH-2\.0-OpenSSH/);
  assert.match(await ask("SSH-2.0-x Host: web1\r\n", eve), /^SSH-2\.0-Postern/);
});

test("a listener that requires a certificate takes nobody without", { skip }, async () => {
  assert.match(await outcome("web1", ada, "127.0.0.2"), /^SSH-2\.0-OpenSSH/);
  assert.equal(await outcome("web1", undefined, "127.0.0.2"), "ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED");
  assert.doesNotMatch(await outcome("web1", stranded, "127.0.0.2"), /SSH/);
});

test("authorities that have changed on disk count without a reload", { skip, timeout: 60_000 }, async () => {
  assert.match(await outcome("web1", stranded), denied);
  const both = readFileSync(authority.certificate, "utf8") + readFileSync(folder.at("other.pem"), "utf8");
  writeFileSync(authority.certificate, both);
  while (!(await outcome("web1", stranded)).startsWith("SSH-2.0-OpenSSH"))
    await new Promise((resolve) => setTimeout(resolve, 250));
});

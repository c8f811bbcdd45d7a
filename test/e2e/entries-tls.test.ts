/** The target named by TLS's SNI: opened here, or passed on unopened. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { type AddressInfo } from "node:net";
import { after, before, test } from "node:test";
import { connect, createServer, type Server, type TLSSocket } from "node:tls";
import { run, succeed } from "#test/support/child";
import { dialGateway, type EntryWorld, read, startEntryWorld } from "#test/support/entries";
import { sshSettings } from "#test/support/ssh";
import { missing, stranger } from "#test/support/strangers";
import { tempDir, type TempDir } from "#test/support/temp-dir";

const skip = missing("ssh", "sshd", "openssl");
let folder: TempDir;
let world: EntryWorld;
let inner: Server;

async function makeCertificate(
  name: string,
  ...names: string[]
): Promise<{ certificate: string; key: string }> {
  const [certificate, key] = [folder.at(`${name}.pem`), folder.at(`${name}.key`)];
  const subject = [
    "-subj",
    `/CN=${name}`,
    "-addext",
    `subjectAltName=${names.map((each) => `DNS:${each}`).join()}`,
  ];
  const made = [
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:P-256",
    "-nodes",
    "-keyout",
    key,
    "-out",
    certificate,
  ];
  await succeed(stranger("openssl"), ["req", "-x509", "-days", "2", ...made, ...subject]);
  return { certificate, key };
}

before(async () => {
  if (skip !== false) return;
  folder = await tempDir();
  const targets = await makeCertificate("targets", "web1", "web2", "secret");
  const gate = await makeCertificate("gate", "gate.example");
  const own = await makeCertificate("inner", "inner");
  inner = createServer({ cert: readFileSync(own.certificate), key: readFileSync(own.key) }, (socket) => {
    socket.on("error", () => {});
    socket.end("from the target itself");
  });
  await new Promise<void>((resolve) => inner.listen(0, "127.0.0.1", resolve));
  world = await startEntryWorld({
    listener: { entries: ["ssh", "version", "tls", "http"], silentSeconds: "30s" },
    config: {
      tls: { certificates: [gate, targets], gatewayNames: ["gate.example"] },
      limits: { startups: { start: 1000, full: 1000 }, maxStartupsPerSource: 1000, handshakeSeconds: 3 },
    },
    more: [
      { name: "inner", host: "127.0.0.1", port: (inner.address() as AddressInfo).port, tls: true },
      { name: "dead", host: "127.0.0.1", port: 1, tls: true },
      { name: "bare", host: "127.0.0.1", port: 1 },
    ],
    rules: [
      {
        name: "splice",
        mode: "splice",
        match: { from: ["127.0.0.0/8"], entries: ["tls", "http"] },
        targets: ["web1", "web2", "inner", "dead", "bare"],
      },
    ],
  });
});
after(async () => {
  inner?.close();
  await world?.[Symbol.asyncDispose]();
  await folder?.[Symbol.asyncDispose]();
});

function proxy(name: string): string {
  return `ProxyCommand=${stranger("openssl")} s_client -quiet -connect 127.0.0.1:${world.gateway.port} -servername ${name}`;
}

function client(servername: string, ALPNProtocols?: string[]): TLSSocket {
  const { host, port } = world.gateway;
  const more = ALPNProtocols === undefined ? {} : { ALPNProtocols };
  const socket = connect({ host, port, servername, rejectUnauthorized: false, ...more });
  return socket;
}

async function failure(servername: string, alpn?: string[]): Promise<string> {
  const socket = client(servername, alpn);
  return await new Promise((resolve) => {
    socket.on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    socket.on("secureConnect", () => resolve("connected"));
  });
}

test("openssl s_client as ProxyCommand: SSH ends at the target that SNI names", { skip }, async () => {
  for (const name of ["web1", "web2"]) {
    const target = {
      host: name,
      port: 22,
      user: "root",
      knownHosts: world.knownHosts,
      identity: world.identity.path,
    };
    const command = [...sshSettings(target, { options: [proxy(name)] }), name, "echo $TARGET; cat | wc -c"];
    const { stdout, stderr } = await run(stranger("ssh"), command, {
      stdin: { data: Buffer.alloc(2_000_000) },
    });
    assert.equal(stdout.toString(), `${name}\n2000000\n`, stderr);
  }
});

test("inside the gateway's own TLS is what the listener takes without it", { skip }, async () => {
  const ssh = client("gate.example", ["ssh"]);
  ssh.write("SSH-2.0-x\r\n");
  assert.match(await read(ssh, (text) => text.includes("\n")), /^SSH-2\.0-\S*Postern/);
  assert.equal(ssh.alpnProtocol, "ssh");
  ssh.destroy();
  const http = client("gate.example", ["h2", "http/1.1"]);
  http.write("CONNECT web1:22 HTTP/1.1\r\nHost: web1:22\r\n\r\n");
  assert.match(
    await read(http, (text) => text.includes("OpenSSH")),
    /^HTTP\/1\.1 200 [^\n]*\r\n\r\nSSH-2\.0-OpenSSH/,
  );
  assert.equal(http.alpnProtocol, "http/1.1");
  http.destroy();
});

test("TLS for a target that speaks it itself reaches it unopened", { skip }, async () => {
  const socket = client("inner");
  assert.equal(await read(socket), "from the target itself");
  const other = client("inner");
  const name = await new Promise((resolve) => {
    other.on("secureConnect", () => resolve(other.getPeerX509Certificate()?.subject));
  });
  assert.equal(name, "CN=inner");
  other.destroy();
});

test("an authority that wants a proof of a target's name is led to the target, which speaks TLS itself", {
  skip,
}, async () => {
  const alpn = ["acme-tls/1"];
  assert.equal(await read(client("inner", alpn)), "from the target itself");
  assert.equal(await failure("gate.example", alpn), "ERR_SSL_TLSV1_UNRECOGNIZED_NAME");
  assert.equal(await failure("secret", alpn), "ERR_SSL_TLSV1_UNRECOGNIZED_NAME");
  assert.equal(await failure("web1", alpn), "ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL");
});

test("what is not there, not for the client, or has no certificate, is one alert", { skip }, async () => {
  const code = "ERR_SSL_TLSV1_UNRECOGNIZED_NAME";
  for (const name of ["secret", "nowhere", "gone", "bare"]) assert.equal(await failure(name), code, name);
  assert.equal(await failure("dead"), "ERR_SSL_TLSV1_ALERT_INTERNAL_ERROR");
  assert.equal(await failure("gate.example", ["h2"]), "ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL");
});

test("half a hello, a broken one and one without end are given up in time", {
  skip,
  timeout: 30_000,
}, async () => {
  const start = "\u0016\u0003\u0001\u0002\u0000\u0001\u0000\u0001\u00fc\u0003\u0003";
  for (const bytes of [start, "\u0016\u0003\u0001\u0000\u0000", `${start}${"\u00ff".repeat(2000)}`]) {
    const socket = await dialGateway(world.gateway);
    socket.write(bytes, "latin1");
    await read(socket);
    socket.destroy();
  }
});

test("a certificate that has changed on disk is shown without a reload", {
  skip,
  timeout: 60_000,
}, async () => {
  const subject = async (): Promise<unknown> => {
    const socket = client("gate.example");
    const found = await new Promise((resolve) => {
      socket.on("secureConnect", () => resolve(socket.getPeerX509Certificate()?.subject));
    });
    socket.destroy();
    return found;
  };
  assert.equal(await subject(), "CN=gate");
  const next = await makeCertificate("renewed", "gate.example");
  writeFileSync(folder.at("gate.key"), readFileSync(next.key));
  writeFileSync(folder.at("gate.pem"), readFileSync(next.certificate));
  while ((await subject()) !== "CN=renewed") await new Promise((resolve) => setTimeout(resolve, 250));
});

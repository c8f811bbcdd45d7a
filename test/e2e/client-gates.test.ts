/** `postern connect` and `postern ssh --via`: each way to name a host to a gate, through Postern and through proxies of others. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { userInfo } from "node:os";
import { after, before, test } from "node:test";
import { type Outcome, succeed } from "#test/support/child";
import { type EntryWorld, startEntryWorld } from "#test/support/entries";
import { postern, program } from "#test/support/gateway";
import { runSsh } from "#test/support/ssh";
import { missing, stranger } from "#test/support/strangers";
import { tempDir, type TempDir } from "#test/support/temp-dir";

const skip = missing("ssh", "sshd", "openssl");
const me = userInfo().username;
let folder: TempDir;
let world: EntryWorld;

async function certificateFor(...names: string[]): Promise<{ certificate: string; key: string }> {
  const [certificate, key] = [folder.at(`${names[0]}.pem`), folder.at(`${names[0]}.key`)];
  const request = [
    "req",
    "-x509",
    "-days",
    "2",
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:P-256",
    "-nodes",
  ];
  const alternatives = names.map((name) => `DNS:${name}`).join();
  await succeed(stranger("openssl"), [
    ...request,
    "-keyout",
    key,
    "-out",
    certificate,
    "-subj",
    `/CN=${names[0]}`,
    "-addext",
    `subjectAltName=${alternatives}`,
  ]);
  return { certificate, key };
}

before(async () => {
  if (skip !== false) return;
  folder = await tempDir();
  const made = await Promise.all([
    certificateFor("gate.example", "localhost"),
    certificateFor("web1", "web2", "secret"),
  ]);
  writeFileSync(
    folder.at("ca.pem"),
    made.map(({ certificate }) => readFileSync(certificate, "utf8")).join(""),
  );
  world = await startEntryWorld({
    listener: { entries: ["ssh", "version", "tls", "http", "websocket"], silentSeconds: "20s" },
    config: {
      tls: { certificates: made, gatewayNames: ["gate.example", "localhost"] },
      limits: { startups: { start: 1000, full: 1000 }, maxStartupsPerSource: 1000 },
    },
  });
});
after(async () => {
  await world?.[Symbol.asyncDispose]();
  await folder?.[Symbol.asyncDispose]();
});

const gate = (): string => `localhost:${world.gateway.port}`;

/** OpenSSH with a ProxyCommand of ours; the target shows its own host key. */
async function through(name: string, ...words: readonly string[]): Promise<Outcome> {
  const command = [process.execPath, program, "connect", ...words].join(" ");
  const target = {
    host: name,
    port: 22,
    user: me,
    knownHosts: world.knownHosts,
    identity: world.identity.path,
  };
  return await runSsh(target, ["echo $TARGET"], {
    options: [`ProxyCommand=${command}`, `HostKeyAlias=${name}`],
  });
}

/** Our own client at a gate. */
async function ssh(name: string, ...words: readonly string[]): Promise<Outcome> {
  const options = ["-F", "none", "-i", world.identity.path, "-o", `UserKnownHostsFile=${world.knownHosts}`];
  const strict = ["-o", "GlobalKnownHostsFile=none", "-o", "BatchMode=yes"];
  return await postern(["ssh", ...options, ...strict, ...words, `${me}@${name}`, "echo $TARGET"], {
    env: { HOME: folder.path, SSH_AUTH_SOCK: "" },
  });
}

function shows(name: string, { code, stdout, stderr }: Outcome): void {
  assert.equal(stdout.toString(), `${name}\n`, stderr);
  assert.equal(code, 0, stderr);
}

for (const name of ["web1", "web2"]) {
  test(`ssh to ${name} with our ProxyCommand, by SNI, CONNECT and WebSocket`, { skip }, async () => {
    const ca = ["--ca", folder.at("ca.pem")];
    shows(name, await through(name, ...ca, gate(), name, "22"));
    shows(name, await through(name, "--via", "connect", gate(), name, "22"));
    shows(name, await through(name, "--via", "connect", ...ca, `https://${gate()}`, name, "22"));
    shows(name, await through(name, "--via", "websocket", `ws://${gate()}`, name));
    shows(name, await through(name, "--via", "websocket", ...ca, gate(), name));
  });

  test(`postern ssh to ${name}, by version line, Host header, SNI, CONNECT and WebSocket`, {
    skip,
  }, async () => {
    const at = ["--gate", gate()];
    const ca = ["--ca", folder.at("ca.pem")];
    shows(name, await ssh(name, "--via", "version", ...at));
    shows(name, await ssh(name, "--via", "host-header", ...at));
    shows(name, await ssh(name, "--via", "sni", ...ca, ...at));
    shows(name, await ssh(name, "--via", "connect", ...at));
    shows(name, await ssh(name, "--via", "websocket", ...ca, ...at));
  });
}

test("a certificate that nobody vouches for is refused, and so is one for another name", {
  skip,
}, async () => {
  const unknown = await postern(["connect", gate(), "web1", "22"]);
  assert.equal(unknown.code, 1);
  assert.match(
    unknown.stderr,
    /^postern: The gate did not open the way: its certificate is not trusted \(.*\); name its authority with --ca\.\n$/,
  );
  const other = await postern([
    "connect",
    "--ca",
    folder.at("ca.pem"),
    "--tls-name",
    "other",
    gate(),
    "web1",
    "22",
  ]);
  assert.equal(other.code, 1);
  assert.match(other.stderr, /does not match certificate's altnames/);
});

test("names that lead nowhere are told in words, in every way", { skip }, async () => {
  const ca = ["--ca", folder.at("ca.pem")];
  for (const words of [
    [...ca, gate(), "secret", "22"],
    ["--via", "connect", gate(), "secret", "22"],
    ["--via", "websocket", ...ca, gate(), "secret"],
  ]) {
    const { code, stderr } = await postern(["connect", ...words]);
    assert.equal(code, 1);
    assert.match(
      stderr,
      /^postern: The gate did not open the way: .*(knows no|does not allow|name).*\.\n$/,
      words.join(" "),
    );
  }
  const { code, stderr } = await ssh("secret", "--via", "version", "--gate", gate());
  assert.equal(code, 255);
  assert.match(stderr, /There is no such target here, or it is not for you/);
});

test("version and host-header are not for a ProxyCommand: it says what is", { skip }, async () => {
  const { code, stderr } = await postern(["connect", "--via", "version", gate(), "web1"]);
  assert.equal(code, 1);
  assert.match(stderr, /postern ssh --via version --gate \S+ web1/);
});

/** A proxy that answers every connection with the same bytes once it has read a request. */
async function withProxy(
  answer: (socket: Socket, asked: string) => void,
  use: (place: string) => Promise<void>,
): Promise<void> {
  const server: Server = createServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", (chunk: Buffer) => answer(socket, chunk.toString()));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    await use(`127.0.0.1:${(server.address() as AddressInfo).port}`);
  } finally {
    server.close();
  }
}

const answers: readonly [what: string, bytes: string, sentence: RegExp][] = [
  [
    "407",
    "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n",
    /it wants a user and a password \(407 Proxy Authentication Required\): give --proxy-user/,
  ],
  ["403", "HTTP/1.1 403 Forbidden\r\n\r\n<html>no</html>", /it does not allow that host and port/],
  ["HTML", "<html><body>hello</body></html>", /it answered with something that is not HTTP/],
  ["half an answer", "HTTP/1.1 200 OK\r\n", /it closed the connection/],
  ["an SSH server", "SSH-2.0-OpenSSH_9.2\r\n", /it speaks SSH, not HTTP/],
];
for (const [what, bytes, sentence] of answers) {
  test(`a proxy that answers with ${what}: one sentence, and 1`, async () => {
    await withProxy(
      (socket) => void socket.end(bytes),
      async (place) => {
        const { code, stderr } = await postern(["connect", "--via", "connect", place, "web1", "22"]);
        assert.match(stderr, /^postern: The gate did not open the way: [^\n]*\.\n$/);
        assert.match(stderr, sentence);
        assert.equal(code, 1);
      },
    );
  });
}

test("the proxy's user and password come from its URL or from a file", async () => {
  const password = `${(await tempDir()).path}-password`;
  writeFileSync(password, "open sesame\n");
  const asked: string[] = [];
  await withProxy(
    (socket, text) => {
      asked.push(/^Proxy-Authorization: Basic (\S+)\r$/m.exec(text)?.[1] ?? "");
      socket.end("HTTP/1.1 200 OK\r\n\r\nthrough");
    },
    async (place) => {
      for (const words of [
        [`http://ada:open%20sesame@${place}`],
        ["--proxy-user", "ada", "--proxy-password-file", password, place],
      ]) {
        const { stdout, stderr } = await postern(["connect", "--via", "connect", ...words, "web1", "22"]);
        assert.equal(stdout.toString(), "through", stderr);
      }
    },
  );
  const wanted = Buffer.from("ada:open sesame").toString("base64");
  assert.deepEqual(asked, [wanted, wanted]);
  assert.ok(readFileSync(password, "utf8").length > 0);
});

test("a jump host of others: stdin and stdout to a host behind it", { skip }, async () => {
  const { sshd, identity, second } = world;
  const options = [
    "-F",
    "none",
    "-i",
    identity.path,
    "-o",
    `UserKnownHostsFile=${sshd.knownHosts}`,
    "-o",
    "BatchMode=yes",
  ];
  const words = [
    "--via",
    "jump",
    ...options,
    `${me}@127.0.0.1:${sshd.port}`,
    "127.0.0.1",
    String(second.port),
  ];
  shows("web2", await through("web2", ...words));
});

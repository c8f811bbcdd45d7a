/** The target named in the client's version line, and several protocols on one port. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { run } from "#test/support/child";
import { type EntryWorld, dialGateway, newOpenSsh, read, startEntryWorld } from "#test/support/entries";
import { memoryBelow } from "#test/support/gateway";
import { runSsh, sshSettings } from "#test/support/ssh";
import { missing, stranger } from "#test/support/strangers";

const skip = missing("ssh", "sshd");
const skipHttp = skip === false ? missing("nc") : skip;
const ssh10 = newOpenSsh();
let world: EntryWorld;

before(async () => {
  if (skip !== false) return;
  world = await startEntryWorld({
    listener: { entries: ["ssh", "version", "http"], silentSeconds: "100ms" },
    names: ["web1.gate.example"],
    config: {
      limits: { startups: { start: 1000, full: 1000 }, maxStartupsPerSource: 1000, handshakeSeconds: 3 },
    },
  });
});
after(async () => {
  await world?.[Symbol.asyncDispose]();
});

/** Arguments of an ssh that checks the target's own host key under its own name. */
function args(name: string, ...options: string[]): string[] {
  const target = {
    host: name,
    port: world.gateway.port,
    user: "root",
    knownHosts: world.knownHosts,
    identity: world.identity.path,
  };
  return sshSettings(target, { options: [`HostKeyAlias=${name}`, ...options, `Port=${target.port}`] });
}

const noNew = "no OpenSSH 10 or later: give its path in OPENSSH10";

test("OpenSSH 10 names its target in the version line: ssh ends there", {
  skip: skip || (ssh10 === undefined && noNew),
}, async () => {
  for (const name of ["web1", "web2"]) {
    const options = [...args(name, `VersionAddendum=Host: ${name}`), "-l", process.env["USER"] ?? "root"];
    const { code, stdout, stderr } = await run(ssh10 ?? "", [...options, "127.0.0.1", "echo $TARGET"]);
    assert.equal(stdout.toString(), `${name}\n`, stderr);
    assert.equal(code, 0);
  }
});

test("OpenSSH 10 is told in words when the name leads nowhere", {
  skip: skip || (ssh10 === undefined && noNew),
}, async () => {
  const said: string[] = [];
  for (const name of ["secret", "nowhere"]) {
    const { code, stderr } = await run(ssh10 ?? "", [
      ...args("web1", `VersionAddendum=Host: ${name}`),
      "127.0.0.1",
      "true",
    ]);
    assert.notEqual(code, 0);
    said.push(stderr);
  }
  for (const text of said) assert.match(text, /There is no such target here, or it is not for you\./);
});

test("the line is replayed as it was, and the target's own banner comes back", { skip }, async () => {
  for (const line of [
    "SSH-2.0-OpenSSH_10.5 Host: web1\r\n",
    "SSH-2.0-x y z Host: WEB1.gate.example. more\n",
  ]) {
    const client = await dialGateway(world.gateway);
    // In two parts, the second with bytes of what follows.
    client.write(line.slice(0, 11));
    client.write(`${line.slice(11)}garbage that only the target refuses\r\n`);
    const text = await read(client);
    assert.match(text, /^SSH-2\.0-OpenSSH/, line);
    client.destroy();
  }
  const told = line(world.sshd.child.stderr, /remote software version .*OpenSSH_10\.5/);
  assert.match(told, /OpenSSH_10\.5 Host: web1/);
});

function line(text: string, pattern: RegExp): string {
  return text.split("\n").find((each) => pattern.test(each)) ?? "";
}

test("a name that is not for the client, one that is not there and one that is down are told in SSH's words", {
  skip,
}, async () => {
  const texts: string[] = [];
  for (const name of ["secret", "nowhere", "..", "gone"]) {
    const client = await dialGateway(world.gateway);
    client.write(`SSH-2.0-x Host: ${name}\r\n`);
    texts.push(await read(client));
    client.destroy();
  }
  const [secret = "", nowhere = "", odd = "", gone = ""] = texts;
  for (const text of [secret, nowhere, odd]) {
    assert.match(text, /^SSH-2\.0-Postern/);
    assert.match(text, /There is no such target here, or it is not for you\./);
  }
  assert.match(gone, /The server behind this gateway cannot be reached/);
  // Alike but for the random bytes of the key exchange.
  assert.equal(secret.length, nowhere.length);
});

test("a client without a name logs in at the gateway; a silent one hears the gateway speak", {
  skip,
}, async () => {
  const plain = await dialGateway(world.gateway);
  plain.write("SSH-2.0-plain\r\n");
  assert.match(await read(plain, (text) => text.includes("\n")), /^SSH-2\.0-\S*Postern/);
  plain.destroy();
  const silent = await dialGateway(world.gateway);
  assert.match(await read(silent, (text) => text.includes("\n")), /^SSH-2\.0-\S*Postern/);
  silent.destroy();
  const { stderr } = await runSsh(world.gateway.target("nobody", world.identity.path), ["true"]);
  assert.match(stderr, /Permission denied/);
});

test("nc -X connect, and ssh through it", { skip: skipHttp }, async () => {
  const proxy = `${stranger("nc")} -X connect -x 127.0.0.1:${world.gateway.port} %h %p`;
  for (const name of ["web1", "web2"]) {
    // The port that ssh says is its own default: the target's is ours to know.
    const command = [...args(name, `ProxyCommand=${proxy}`, "Port=22"), name, "echo $TARGET; cat | wc -c"];
    const { stdout, stderr } = await run(stranger("ssh"), command, {
      stdin: { data: Buffer.alloc(3_000_000) },
    });
    assert.equal(stdout.toString(), `${name}\n3000000\n`, stderr);
  }
});

test("HTTP's refusals are alike, and nothing but CONNECT is served", { skip }, async () => {
  const ask = async (text: string): Promise<string> => {
    const client = await dialGateway(world.gateway);
    client.write(text);
    const answer = await read(client);
    client.destroy();
    return answer;
  };
  const connect = (to: string): Promise<string> => ask(`CONNECT ${to} HTTP/1.1\r\nHost: ${to}\r\n\r\n`);
  const secret = await connect("secret:22");
  assert.match(secret, /^HTTP\/1\.1 403 /);
  assert.match(secret, /There is no such target here, or it is not for you\.\n$/);
  for (const to of ["nowhere:22", "127.0.0.1:22", "[::1]:22", "web1:80", "web1", "a@web1:22", "localhost:22"])
    assert.equal(await connect(to), secret, to);
  assert.match(await connect("gone:22"), /^HTTP\/1\.1 502 [\s\S]*cannot be reached/);
  assert.match(await ask("GET / HTTP/1.1\r\nHost: web1\r\n\r\n"), /^HTTP\/1\.1 404 [\s\S]*no such target/);
  assert.match(
    await ask("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n"),
    /^HTTP\/1\.1 404 /,
  );
  assert.match(
    await ask("CONNECT web1:22 HTTP/1.1\r\nHost: a\r\nContent-Length : 1\r\n\r\n"),
    /^HTTP\/1\.1 400 /,
  );
});

test("bytes sent behind the CONNECT without waiting reach the target", { skip }, async () => {
  const client = await dialGateway(world.gateway);
  client.write("CONNECT web1:22 HTTP/1.1\r\nHost: web1:22\r\n\r\nSSH-2.0-eager\r\nnonsense\r\n");
  const text = await read(client);
  assert.match(text, /^HTTP\/1\.1 200 [^\n]*\r\n\r\nSSH-2\.0-OpenSSH/);
  client.destroy();
});

test("garbage of every sort on the shared port costs bounded memory and time", {
  skip,
  timeout: 60_000,
}, async () => {
  const big = "x".repeat(1_000_000);
  const abuses: readonly string[] = [
    `SSH-2.0-${big}\r\n`,
    `SSH-2.0-a ${big}`,
    `GET / HTTP/1.1\r\n${Array.from({ length: 10_000 }, (_, at) => `X-${at}: y\r\n`).join("")}\r\n`,
    `CONNECT web1:22 HTTP/1.1\r\nX: ${big}`,
    "\u0016\u0003\u0001\u0002\u0000\u0001\u0000",
    "PROXY TCP4 10.0.0.1 10.0.0.1 1 2\r\nSSH-2.0-x Host: web1\r\n",
    "\u0000\u0001\u0002",
    "S",
    "CONN",
    "",
  ];
  const before = await world.gateway.rssBytes();
  const all = Array.from({ length: 100 }, (_, at) => abuses[at % abuses.length] ?? "").map(async (text) => {
    const client = await dialGateway(world.gateway);
    client.write(text, "latin1");
    await read(client);
    client.destroy();
  });
  // The gateway ends each by itself: handshakeSeconds is 3.
  await Promise.all(all);
  await memoryBelow(world.gateway, before + 150 * 1024 * 1024);
  const { stderr } = await runSsh(world.gateway.target("nobody", world.identity.path), ["true"]);
  assert.match(stderr, /Permission denied/);
});

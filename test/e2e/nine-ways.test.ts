/** One gateway on one port: the same three targets in all nine ways, side by side, and version control through each. */
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { connect } from "node:tls";
import { run, succeed } from "#test/support/child";
import { testBytes } from "#test/support/data";
import { dialGateway, newOpenSsh, read } from "#test/support/entries";
import {
  account,
  type Name,
  names,
  type NineWays,
  ownClient,
  sshWays,
  startNineWays,
} from "#test/support/nine-ways";
import { missing, stranger } from "#test/support/strangers";

const skip = missing(
  "ssh",
  "sshd",
  "openssl",
  "nc",
  "ncat",
  "corkscrew",
  "proxytunnel",
  "websockets",
  "curl",
  "git",
  "hg",
);
const ssh10 = newOpenSsh();
let world: NineWays;
before(async () => {
  if (skip === false) world = await startNineWays();
});
after(async () => {
  await world?.[Symbol.asyncDispose]();
});

/** A client and its arguments, to which the command is added. */
type Client = (name: Name) => readonly string[];

const version =
  (via: "version" | "host-header"): Client =>
  (name) => [...ownClient(world, via), name];
const clients: Readonly<Record<string, Client>> = {
  ...Object.fromEntries(
    Object.entries(sshWays).map(([title, way]): [string, Client] => [
      title,
      (name) => [stranger("ssh"), "-F", world.sshConfig, `${way}-${name}`],
    ]),
  ),
  "version string": version("version"),
  "version string in the form of HTTP": version("host-header"),
  ...(ssh10 === undefined ? {} : { "version string of OpenSSH": openSsh10 }),
};

function openSsh10(name: Name): readonly string[] {
  const own = [
    "HostName=127.0.0.1",
    `Port=${world.gateway.port}`,
    `HostKeyAlias=${name}`,
    `VersionAddendum=Host: ${name}`,
  ];
  return [ssh10 ?? "", "-F", world.sshConfig, ...own.flatMap((each) => ["-o", each]), name];
}

async function where(client: readonly string[]): Promise<string> {
  const [program = "", ...args] = client;
  const { stdout, stderr } = await run(program, [...args, "echo $TARGET; wc -c"], {
    stdin: { data: Buffer.alloc(300_000) },
  });
  return stdout.length === 0 ? stderr : stdout.toString();
}

test("all ways at once lead to all three targets", { skip, timeout: 280_000 }, async () => {
  const asked = names.map(async (name) => {
    // Those of one target one after the other: each is two processes, or three.
    for (const [title, client] of Object.entries(clients))
      assert.equal(await where(client(name)), `${name}\n300000\n`, `${title}, ${name}`);
  });
  await Promise.all(asked);
});

test("the menu lists them, and whoever is there has seen none but these", { skip }, async () => {
  const { stdout } = await run(stranger("ssh"), ["-F", world.sshConfig, "gate", "ls", "--json"]);
  const listed = stdout.toString();
  for (const name of names) assert.match(listed, new RegExp(`"${name}"`));
  assert.doesNotMatch(listed, /www-|tls-/);
});

test("any other protocol: HTTP by its Host, TLS by its SNI, on the same port", { skip }, async () => {
  const { port } = world.gateway;
  for (const name of names) {
    const url = `http://www.${name}/`;
    const site = await succeed(stranger("curl"), ["-sS", "--connect-to", `::127.0.0.1:${port}`, url]);
    assert.equal(site.trim(), `${name} www.${name}`);
    const socket = connect({ host: "127.0.0.1", port, servername: `tls.${name}`, rejectUnauthorized: false });
    assert.equal(await read(socket), `${name} by itself`);
  }
});

test("a name that is nobody's is refused in the words of each protocol", { skip }, async () => {
  const ask = async (text: string): Promise<string> => {
    const client = await dialGateway(world.gateway);
    client.write(text);
    const answer = await read(client);
    client.destroy();
    return answer;
  };
  const words = /There is no such target here, or it is not for you/;
  assert.match(await ask("SSH-2.0-x Host: nobody\r\n"), words);
  assert.match(await ask("CONNECT nobody:22 HTTP/1.1\r\nHost: nobody\r\n\r\n"), /^HTTP\/1\.1 403 /);
  assert.match(await ask("GET / HTTP/1.1\r\nHost: nobody\r\n\r\n"), /^HTTP\/1\.1 404 /);
  const upgrade = [
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "\r\n",
  ].join("\r\n");
  assert.match(await ask(`GET /ssh/nobody HTTP/1.1\r\nHost: x\r\n${upgrade}`), /^HTTP\/1\.1 404 /);
  const { stderr } = await run(stranger("ssh"), ["-F", world.sshConfig, "-W", "nobody:22", "gate"]);
  assert.match(stderr, words);
  const alert = await run(stranger("openssl"), [
    "s_client",
    "-connect",
    `127.0.0.1:${world.gateway.port}`,
    "-servername",
    "nobody",
  ]);
  assert.match(alert.stderr, /unrecognized name/);
});

const env = {
  GIT_CONFIG_GLOBAL: "/dev/null",
  GIT_CONFIG_SYSTEM: "/dev/null",
  GIT_AUTHOR_NAME: "a",
  GIT_AUTHOR_EMAIL: "a@example.org",
  GIT_COMMITTER_NAME: "a",
  GIT_COMMITTER_EMAIL: "a@example.org",
  GIT_SSH_VARIANT: "simple",
  HGRCPATH: "",
  HGUSER: "a",
  HGPLAIN: "1",
};

/** The client as one command, and the host that it is given. */
function parted(client: readonly string[]): { readonly command: string; readonly host: string } {
  return {
    command: client
      .slice(0, -1)
      .map((word) => `'${word}'`)
      .join(" "),
    host: client.at(-1) ?? "",
  };
}

test("git and hg clone and push through every way", { skip, timeout: 290_000 }, async () => {
  const one = world.folder.at("git-one");
  await succeed("git", ["init", "-q", "-b", "main", one], { env });
  await writeFile(`${one}/big`, testBytes(300_000, 41));
  await succeed("git", ["-C", one, "add", "big"], { env });
  await succeed("git", ["-C", one, "commit", "-q", "-m", "first"], { env });
  const hgOne = world.folder.at("hg-one");
  await succeed("hg", ["init", hgOne], { env });
  await writeFile(`${hgOne}/big`, testBytes(300_000, 43));
  await succeed("hg", ["-R", hgOne, "commit", "-A", "-m", "first"], { env });
  // Each entry once: corkscrew and the like ask for the same as nc.
  const again = ["corkscrew", "proxytunnel", "ncat", "WebSocket in TLS", "ssh -W"];
  const each = Object.entries(clients).filter(([title]) => !again.some((other) => title.includes(other)));
  const through = async ([title, client]: readonly [string, Client], at: number): Promise<void> => {
    const { command, host } = parted(client("web2"));
    const [there, hgThere] = [world.folder.at(`there-${at}.git`), world.folder.at(`there-${at}.hg`)];
    await succeed("git", ["init", "-q", "--bare", "-b", "main", there], { env });
    await succeed("hg", ["init", hgThere], { env });
    const gitEnv = { ...env, GIT_SSH_COMMAND: command };
    const url = `ssh://${host}${there}`;
    await succeed("git", ["-C", one, "push", "-q", url, "main"], { env: gitEnv });
    await succeed("git", ["clone", "-q", url, world.folder.at(`clone-${at}`)], { env: gitEnv });
    const head = await succeed("git", ["-C", world.folder.at(`clone-${at}`), "rev-parse", "HEAD"], { env });
    assert.equal(head, await succeed("git", ["-C", one, "rev-parse", "HEAD"], { env }), title);
    const ssh = ["--config", `ui.ssh=${command}`];
    await succeed("hg", ["-R", hgOne, "push", ...ssh, `ssh://${host}/${hgThere}`], { env });
    await succeed("hg", ["clone", ...ssh, `ssh://${host}/${hgThere}`, world.folder.at(`hg-clone-${at}`)], {
      env,
    });
    const id = await succeed("hg", ["-R", world.folder.at(`hg-clone-${at}`), "id", "-i"], { env });
    assert.equal(id, await succeed("hg", ["-R", hgOne, "id", "-i"], { env }), title);
  };
  await Promise.all(each.map(through));
});

test("whose session it was is in the log, whichever way the name came in", { skip }, () => {
  const opened = world.gateway.events("session-opened");
  const entries = new Set(opened.map(({ entry }) => entry).filter((entry) => typeof entry === "string"));
  for (const entry of ["version", "tls", "http", "websocket", "address", "host"])
    assert.ok(entries.has(entry), entry);
  assert.ok(account.length > 0);
});

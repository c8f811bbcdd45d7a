/** Keys from an address, and from the upstream's own authorized_keys. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { chmod, chown, mkdir, writeFile } from "node:fs/promises";
import type { ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import { after, before, test } from "node:test";
import { startAgent } from "#test/support/agent";
import { postern, type Pieces } from "#test/support/gateway";
import { runSsh, type SshOptions } from "#test/support/ssh";
import { missing } from "#test/support/strangers";
import { type KeyFiles, makeKey } from "#test/support/test-keys";
import { startWorld, upstreamTo, type World } from "#test/support/world";

const skip = missing("ssh", "sshd", "openssl");
let world: World;
let ada: KeyFiles;
let eve: KeyFiles;
let server: Server;
/** What the addresses answer, and what they were asked. */
let answer: (response: ServerResponse) => void = (response) => void response.end();
const asked: string[] = [];

before(async () => {
  if (skip !== false) return;
  world = await startWorld({ rules: () => [] });
  const { gateway, keys } = world;
  [ada, eve] = ["ada", "eve"].map((name) => keys.key("ed25519", name)) as [KeyFiles, KeyFiles];
  const [key, certificate] = [gateway.folder.at("tls.key"), gateway.folder.at("tls.pem")];
  const flags = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost";
  const names = ["-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate];
  execFileSync("openssl", [...flags.split(" "), ...names], { stdio: "ignore" });
  server = createServer({ key: readFileSync(key), cert: readFileSync(certificate) }, (request, response) => {
    asked.push(request.url ?? "");
    response.on("error", () => {});
    answer(response);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const base = `https://localhost:${typeof address === "object" && address !== null ? address.port : 0}`;
  const rule = (name: string, login: Pieces): Pieces => ({
    name,
    match: { userPattern: `${name}-[a-z]+` },
    login: [{ kind: "publickey", ...login }],
    upstream: upstreamTo(world),
  });
  const url = { urls: [`${base}/{user}.keys`], tlsAuthorities: certificate, timeoutSeconds: "1s" };
  await gateway.rewrite([
    rule("kept", url),
    rule("fresh", { ...url, cacheSeconds: 0, staleSeconds: "1h" }),
    rule("strict", { ...url, cacheSeconds: 0, staleSeconds: 0 }),
    rule("distrustful", { ...url, tlsAuthorities: undefined }),
    rule("upstream", { upstreamFile: ".ssh/authorized_keys", cacheSeconds: 0 }),
    rule("remembered", { upstreamFile: ".ssh/authorized_keys" }),
    rule("elsewhere", { upstreamFile: `${world.user.home}/keys-of-{user}`, cacheSeconds: 0 }),
  ]);
  gateway.signal("SIGHUP");
  await gateway.waitForLog("reload", ({ event }) => event === "reloaded");
});
after(async () => {
  server?.closeAllConnections();
  server?.close();
  await world?.[Symbol.asyncDispose]();
});

const gives =
  (...lines: readonly string[]) =>
  (response: ServerResponse): void =>
    void response.end(`${lines.join("\n")}\n`);

const ssh = (user: string, key: KeyFiles, more: SshOptions = {}): ReturnType<typeof runSsh> =>
  runSsh(world.gateway.target(user, key.path), ["echo in"], more);

async function admits(user: string, key: KeyFiles): Promise<void> {
  const { stdout, stderr } = await ssh(user, key);
  assert.equal(stdout.toString(), "in\n", stderr);
}

async function refuses(user: string, key: KeyFiles): Promise<void> {
  const { code, stderr } = await ssh(user, key);
  assert.equal(code, 255);
  assert.match(stderr, /Permission denied \(publickey\)/);
}

test("an address for each user, asked once in its time", { skip }, async () => {
  answer = gives(ada.publicLine);
  asked.length = 0;
  await admits("kept-ada", ada);
  await admits("kept-ada", ada);
  await refuses("kept-ada", eve);
  assert.deepEqual(asked, ["/kept-ada.keys"]);
  answer = (response) => void response.writeHead(404).end();
  await refuses("kept-eve", ada);
  assert.deepEqual(asked, ["/kept-ada.keys", "/kept-eve.keys"]);
});

test("an address whose certificate is by nobody who is trusted", { skip }, async () => {
  answer = gives(ada.publicLine);
  await refuses("distrustful-ada", ada);
  const failed = world.gateway.events("key-source-failed").map((line) => JSON.stringify(line));
  assert.ok(
    failed.some((line) => /self.signed/.test(line)),
    failed.join("\n"),
  );
});

const troubles: readonly [string, (response: ServerResponse) => void][] = [
  ["answers 500", (response) => void response.writeHead(500).end()],
  ["does not answer", () => {}],
  [
    "gives ten megabytes",
    (response) => {
      response.write(`${ada.publicLine}\n`);
      response.end("# much\n".repeat(1_500_000));
    },
  ],
  ["hangs up", (response) => void response.destroy()],
  [
    "sends away to http",
    (response) => void response.writeHead(302, { location: "http://localhost:1/" }).end(),
  ],
];
for (const [at, [what, trouble]] of troubles.entries()) {
  test(`a server that ${what}: the last answer for the stated time, else nobody`, { skip }, async () => {
    const user = `fresh-${"abcdefg"[at]}`;
    answer = gives(ada.publicLine);
    await admits(user, ada);
    answer = trouble;
    await admits(user, ada);
    await refuses(user, eve);
    await refuses(`strict-${"abcdefg"[at]}`, ada);
    assert.ok(world.gateway.child.running);
  });
}

test("addresses that are no https are refused by check", { skip }, async () => {
  const file = world.gateway.folder.at("bad.yaml");
  const rule = {
    name: "plain",
    login: [{ kind: "publickey", urls: ["http://localhost/{user}"] }],
    upstream: upstreamTo(world),
  };
  const [host] = world.gateway.hostKeys;
  await writeFile(file, JSON.stringify({ listen: [":0"], hostKeys: [host?.path], rules: [rule] }));
  const { code, stdout, stderr } = await postern(["check", "-c", file]);
  assert.equal(code, 1);
  assert.match(`${stdout.toString()}${stderr}`, /must begin with https:\/\//);
});

/** Writes the upstream user's authorized_keys. */
async function upstreamKeys(...lines: readonly string[]): Promise<void> {
  const { home, uid, gid } = world.user;
  await mkdir(`${home}/.ssh`, { recursive: true });
  await writeFile(`${home}/.ssh/authorized_keys`, `${lines.join("\n")}\n`);
  await chmod(`${home}/.ssh/authorized_keys`, 0o600);
  for (const path of [`${home}/.ssh`, `${home}/.ssh/authorized_keys`]) await chown(path, uid, gid);
}

const logins = (): number => world.sshd.count(/Accepted publickey for/);

test("the upstream's own authorized_keys says who may log in, with all its options", { skip }, async () => {
  await upstreamKeys("# of people", `no-pty ${ada.publicLine}`);
  await admits("upstream-ada", ada);
  await refuses("upstream-ada", eve);
  const { stderr } = await ssh("upstream-ada", ada, { flags: ["-tt"] });
  assert.match(stderr, /PTY allocation request failed/);
  await upstreamKeys(`command="echo forced" ${ada.publicLine}`, `from="10.0.0.0/8" ${eve.publicLine}`);
  assert.equal((await ssh("upstream-ada", ada)).stdout.toString(), "forced\n");
  await refuses("upstream-ada", eve);
  // No comment behind the key.
  await upstreamKeys(ada.publicLine.split(" ").slice(0, 2).join(" "));
  await admits("upstream-ada", ada);
});

test("without a proof no login is spent, and nothing is told", { skip }, async () => {
  await upstreamKeys(ada.publicLine);
  const spent = logins();
  for (const key of [ada, eve]) {
    const half = world.keys.folder.at("half.pub");
    await writeFile(half, `${key.publicLine}\n`);
    const { stderr } = await runSsh(world.gateway.target("upstream-ada", half), ["true"], { flags: ["-v"] });
    // Both are answered alike: neither tells whether it stands there.
    assert.match(stderr, /Server accepts key/);
    assert.match(stderr, /Permission denied/);
  }
  assert.equal(logins(), spent);
});

test("the answer is remembered for a while: one login at the upstream for the file, then the session's own", {
  skip,
}, async () => {
  await upstreamKeys(ada.publicLine);
  const spent = logins();
  await admits("remembered-ada", ada);
  assert.equal(logins(), spent + 2);
  await admits("remembered-ada", ada);
  await refuses("remembered-ada", eve);
  assert.equal(logins(), spent + 3);
});

test("a file that is not there, or not a file, or too large, lets nobody in", { skip }, async () => {
  const path = (user: string): string => `${world.user.home}/keys-of-${user}`;
  await mkdir(path("elsewhere-folder"));
  await writeFile(path("elsewhere-large"), `${ada.publicLine}\n${"# much\n".repeat(100_000)}`);
  await writeFile(path("elsewhere-good"), `${ada.publicLine}\n`);
  for (const user of ["elsewhere-absent", "elsewhere-folder", "elsewhere-large"]) await refuses(user, ada);
  await admits("elsewhere-good", ada);
});

test("keys without end are tried within a bound, and cost the upstream little", { skip }, async () => {
  await upstreamKeys(ada.publicLine);
  const folder = world.gateway.folder.at("many");
  await mkdir(folder);
  const many = Array.from({ length: 60 }, (_, at) => makeKey(`${folder}/${at}`).path);
  await using agent = await startAgent(many);
  const options = [`IdentityAgent=${agent.socket}`, "IdentitiesOnly=no"];
  const spent = logins();
  const { code, stderr } = await runSsh(world.gateway.target("remembered-many"), ["true"], { options });
  assert.equal(code, 255);
  assert.match(stderr, /Too many authentication failures|Permission denied/);
  assert.ok(logins() <= spent + 1, `${logins() - spent} logins`);
  const listed = await runSsh(world.gateway.target("kept-many"), ["true"], { options });
  assert.equal(listed.code, 255);
  const denied = world.gateway.events("auth-denied").filter(({ user }) => user === "kept-many");
  assert.ok(denied.length <= 50, `${denied.length} were looked at`);
});

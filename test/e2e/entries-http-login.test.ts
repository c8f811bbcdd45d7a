/** HTTP CONNECT with a name and a password, by every client that knows it; nothing tells which targets there are. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { Child, run } from "#test/support/child";
import { dialGateway, type EntryWorld, read, startEntryWorld } from "#test/support/entries";
import { postern } from "#test/support/gateway";
import { runOnPty } from "#test/support/pty";
import { sshSettings } from "#test/support/ssh";
import { until } from "#test/support/waiting";
import { missing, stranger, type StrangerName } from "#test/support/strangers";

const skip = missing("ssh", "sshd");
const password = "correct:horse";
let world: EntryWorld;

before(async () => {
  if (skip !== false) return;
  const { stdout } = await postern(["key", "hash-password"], { stdin: { data: `${password}\n` } });
  const login = [{ kind: "password", hashes: [stdout.toString().trim()] }];
  world = await startEntryWorld({
    listener: { entries: ["ssh", "http"], silentSeconds: "5s" },
    config: {
      audit: [{ kind: "jsonl", file: "audit.jsonl" }],
      limits: { startups: { start: 1000, full: 1000 }, maxStartupsPerSource: 1000, failureDelaySeconds: 0.2 },
    },
    terminated: "recorded",
    rules: [
      { name: "ada", mode: "splice", match: { user: "ada" }, login, targets: ["web1", "gone"] },
      { name: "crew", mode: "splice", match: { userPattern: "crew-.*" }, login, targets: ["web2"] },
      { name: "dora", mode: "splice", match: { user: "dora" }, login, targets: ["recorded"] },
      { name: "open", mode: "splice", match: { from: ["127.0.0.9"] }, targets: ["web2"] },
    ],
  });
});
after(async () => {
  await world?.[Symbol.asyncDispose]();
});

function needs(...names: readonly StrangerName[]): string | false {
  return skip === false ? missing(...names) : skip;
}

async function sshThrough(
  proxy: string,
  name = "web1",
): Promise<{ readonly text: string; readonly stderr: string }> {
  const { knownHosts, identity } = world;
  const target = { host: name, port: 22, user: "root", knownHosts, identity: identity.path };
  const options = [`ProxyCommand=${proxy}`];
  const command = [...sshSettings(target, { options }), "-l", process.env["USER"] ?? "root", name];
  const data = Buffer.alloc(1_000_000, "x");
  const { stdout, stderr } = await run(stranger("ssh"), [...command, "echo $TARGET; cat | wc -c"], {
    stdin: { data },
  });
  return { text: stdout.toString(), stderr };
}

const gate = (): string => `127.0.0.1 ${world.gateway.port}`;
const gateColon = (): string => `127.0.0.1:${world.gateway.port}`;

test("corkscrew with its file of name and password", { skip: needs("corkscrew") }, async () => {
  const file = world.gateway.folder.at("corkscrew-auth");
  writeFileSync(file, `ada:${password}\n`);
  const { text, stderr } = await sshThrough(`${stranger("corkscrew")} ${gate()} %h %p ${file}`);
  assert.equal(text, "web1\n1000000\n", stderr);
});

test("proxytunnel -P", { skip: needs("proxytunnel") }, async () => {
  const { text, stderr } = await sshThrough(
    `${stranger("proxytunnel")} -q -p ${gateColon()} -P 'ada:${password}' -d %h:%p`,
  );
  assert.equal(text, "web1\n1000000\n", stderr);
});

test("ncat --proxy-auth", { skip: needs("ncat") }, async () => {
  const { text, stderr } = await sshThrough(
    `${stranger("ncat")} --proxy ${gateColon()} --proxy-type http --proxy-auth 'crew-7:${password}' %h %p`,
    "web2",
  );
  assert.equal(text, "web2\n1000000\n", stderr);
});

test("nc -X connect -P asks for the password when the gateway does", {
  skip: needs("nc", "python3"),
}, async () => {
  const command = [stranger("nc"), "-X", "connect", "-x", gateColon(), "-P", "ada", "web1", "22"];
  const { stdout } = await runOnPty({
    command,
    steps: [
      { expect: "assword", send: `${password}\n` },
      { expect: "SSH-2\\.0-OpenSSH", signal: 15 },
    ],
  });
  assert.match(stdout.toString(), /SSH-2\.0-OpenSSH/);
});

test("curl --proxytunnel", { skip: needs("curl") }, async () => {
  const command = ["-sSN", "--proxytunnel", "-x", `http://${gateColon()}`, "--proxy-user", `ada:${password}`];
  await using curl = new Child(stranger("curl"), [...command, "telnet://web1:22"], { stdin: "open" });
  await curl.waitFor("the target's banner", () => curl.stdout.includes("SSH-2.0-OpenSSH") || undefined);
});

async function ask(to: string, login?: string, from?: string): Promise<string> {
  const client = await dialGateway(world.gateway, from);
  const header =
    login === undefined ? "" : `Proxy-Authorization: Basic ${Buffer.from(login).toString("base64")}\r\n`;
  client.write(`CONNECT ${to} HTTP/1.1\r\nHost: ${to}\r\n${header}\r\n`);
  const text = await read(client, (each) => each.includes("SSH-2.0"));
  client.destroy();
  return text;
}

test("without the right password nothing tells a target that is there from one that is not", {
  skip,
}, async () => {
  const asked = await ask("web1:22");
  assert.match(asked, /^HTTP\/1\.1 407 [\s\S]*\r\nProxy-Authenticate: Basic realm="[^"]+"/);
  for (const to of ["web2:22", "gone:22", "secret:22", "nowhere:22", "web1:80", "x", "[::1]:22"])
    assert.equal(await ask(to), asked, to);
  for (const login of ["ada:wrong", "ada:", `eve:${password}`, `crew-:${password}x`, "nonsense"])
    for (const to of ["web1:22", "nowhere:22"]) assert.equal(await ask(to, login), asked, `${login} ${to}`);
});

test("with it, a target that is not there and one for others are refused alike", { skip }, async () => {
  const own = `ada:${password}`;
  assert.match(await ask("web1:22", own), /^HTTP\/1\.1 200 [\s\S]*SSH-2\.0-OpenSSH/);
  assert.match(await ask("gone:22", own), /^HTTP\/1\.1 502 /);
  const refused = await ask("secret:22", own);
  assert.match(refused, /^HTTP\/1\.1 403 /);
  for (const to of ["web2:22", "nowhere:22", "web1:80"]) assert.equal(await ask(to, own), refused, to);
  // A rule that asks for none needs none, whatever is shown.
  for (const login of [undefined, "eve:wrong"])
    assert.match(await ask("web2:22", login, "127.0.0.9"), /^HTTP\/1\.1 200 /);
  await world.gateway.waitForLog(
    "who it was",
    ({ event, user }) => event === "auth-accepted" && user === "ada",
  );
  await world.gateway.waitForLog(
    "who it was not",
    ({ event, user }) => event === "auth-denied" && user === "eve",
  );
  assert.ok(!world.gateway.child.stderr.includes("correct:horse"));
});

test("the audit tells who tried to prove what, and when it was nobody", { skip }, async () => {
  await ask("web1:22", `zoe:${password}`);
  await ask("web1:22", `ada:${password}`);
  await ask("recorded:22", `dora:${password}`);
  const story = async (name: string): Promise<unknown[]> => {
    const text = await readFile(world.gateway.folder.at("audit.jsonl"), "utf8");
    const lines = text
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Readonly<Record<string, unknown>>);
    const session = lines.findLast(({ event, user }) => event === "auth" && user === name)?.["session"];
    return lines
      .filter((line) => line["session"] === session)
      .map(({ event, method, outcome }) =>
        [event, method, outcome].flatMap((each) => (typeof each === "string" ? [each] : [])).join(" "),
      );
  };
  const expected: Readonly<Record<string, readonly string[]>> = {
    zoe: ["connection", "auth http refused", "target refused", "end"],
    ada: ["connection", "auth http accepted", "target opened", "end"],
    // Its SSH ends here, after what HTTP has carried.
    dora: ["connection", "auth http accepted", "end"],
  };
  for (const [name, events] of Object.entries(expected))
    await until(
      `the story of ${name}`,
      async () => JSON.stringify(await story(name)) === JSON.stringify(events),
    );
});

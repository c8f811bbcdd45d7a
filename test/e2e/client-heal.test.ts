/** `postern forward` when the server goes away, when a port is taken, and what it tells scripts and service managers. */
import assert from "node:assert/strict";
import { openSync, readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { test } from "node:test";
import { startClientLab } from "#test/support/client-lab";
import { answerAfterEnd, askAndEnd, readAll, startListener } from "#test/support/echo-server";
import { freePort } from "#test/support/ports";
import { startSshd } from "#test/support/sshd";
import { missing } from "#test/support/strangers";
import { until } from "#test/support/waiting";

const skip = missing("ssh", "sshd");

interface Line {
  readonly event: string;
  readonly [field: string]: unknown;
}

/** All whole lines of JSON so far. */
function eventsOf(stdout: Buffer): Line[] {
  const text = stdout.toString();
  return text
    .slice(0, text.lastIndexOf("\n") + 1)
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Line);
}

test("the server is killed and comes back: listeners stayed open, a client that waited is served", {
  skip,
}, async () => {
  await using lab = await startClientLab();
  await using target = await startListener(answerAfterEnd);
  const port = await freePort();
  const remote = await freePort();
  await using child = lab.forward([
    "--json",
    "-L",
    `${port}:127.0.0.1:${target.port}`,
    "-R",
    `${remote}:127.0.0.1:${target.port}`,
  ]);
  const seen = (event: string, count = 1): Promise<unknown> =>
    child.waitFor(
      `${count} ${event}`,
      () => eventsOf(child.stdout).filter((line) => line.event === event).length >= count,
    );
  await seen("ready");
  const before = await askAndEnd({ port }, "one");
  assert.match(before, /^3 /);
  // One that is open when the server dies is ended.
  const open = connect({ port, host: "127.0.0.1" });
  await seen("opened", 2);
  const cut = readAll(open).then(
    () => "ended",
    () => "broken",
  );
  const { hostKeys, authorizedKeysFile } = lab.sshd;
  const authorizedKeys = [readFileSync(authorizedKeysFile, "utf8").trim()];
  await lab.sshd.child[Symbol.asyncDispose]();
  await seen("lost");
  assert.ok(["ended", "broken"].includes(await cut));
  const waiting = askAndEnd({ port }, "two");
  await seen("retry", 2);
  await using again = await startSshd({ port: lab.sshd.port, hostKeyFiles: hostKeys, authorizedKeys });
  assert.equal(again.port, lab.sshd.port);
  assert.match(await waiting, /^3 /);
  await seen("ready", 2);
  assert.match(await askAndEnd({ port: remote }, "back"), /^4 /);
  child.kill("SIGINT");
  assert.equal((await child.outcome()).code, 0);
});

test("--no-reconnect: the loss of the connection ends it with 1 and a sentence", { skip }, async () => {
  await using lab = await startClientLab();
  await using child = lab.forward(["--no-reconnect", "-D", "0"]);
  await child.waitForStdout(/^Forwarding/m);
  await lab.sshd.child[Symbol.asyncDispose]();
  const { code, stderr } = await child.outcome();
  assert.equal(code, 1);
  assert.match(
    stderr,
    /^postern: (?:127\.0\.0\.1:\d+ closed the connection|The connection to 127\.0\.0\.1:\d+ broke: .*)\.\n$/,
  );
});

test("--keep-trying: a server that is not there yet is waited for; Ctrl-C while waiting ends with 0", {
  skip,
}, async () => {
  await using lab = await startClientLab();
  const port = await freePort();
  const destination = lab.destination.replace(/:\d+$/, `:${port}`);
  await using child = lab.postern([
    "forward",
    ...lab.options,
    "--keep-trying",
    "--json",
    "-L",
    "0:127.0.0.1:1",
    destination,
  ]);
  await child.waitFor(
    "retries",
    () => eventsOf(child.stdout).filter(({ event }) => event === "retry").length >= 2,
  );
  child.kill("SIGINT");
  const { code, stderr } = await child.outcome();
  assert.equal(code, 0, stderr);
});

test("a local port in use: told before anybody is asked anything; the others hold unless --exit-on-forward-failure", {
  skip,
}, async () => {
  await using lab = await startClientLab();
  await using taken = await startListener(() => {});
  const busy = ["-L", `127.0.0.1:${taken.port}:web:80`];
  const sentence =
    /Cannot listen on 127\.0\.0\.1:\d+: another program has that port; choose another one, or end that program\./;
  await using alone = lab.forward(busy);
  const ended = await alone.outcome();
  assert.equal(ended.code, 1);
  assert.match(ended.stderr, sentence);
  await using strict = lab.forward([...busy, "-D", "0", "--exit-on-forward-failure"]);
  assert.equal((await strict.outcome()).code, 1);
  await using child = lab.forward([...busy, "-D", "0"]);
  await child.waitForStdout(sentence);
  await child.waitForStdout(/^Forwarding 127\.0\.0\.1:\d+ to wherever SOCKS says/m);
  child.kill("SIGINT");
  assert.equal((await child.outcome()).code, 0);
});

test("a port that the server does not give: a sentence and 1", { skip }, async () => {
  await using lab = await startClientLab();
  await using taken = await startListener(() => {});
  await using child = lab.forward(["-R", `127.0.0.1:${taken.port}:web:80`]);
  const { code, stderr } = await child.outcome();
  assert.equal(code, 1);
  assert.match(
    stderr,
    /postern: 127\.0\.0\.1:\d+ does not listen on 127\.0\.0\.1:\d+: the port may be in use there/,
  );
});

test("what cannot be read is refused with what would be right, and 2", { skip }, async () => {
  await using lab = await startClientLab();
  for (const [words, sentence] of [
    [["-L", "80"], /^postern: -L 80: write \[address:\]port:host:port\.\n$/],
    [["-L", "1:2:3:4:5"], /^postern: -L 1:2:3:4:5: there are too many colons\.\n$/],
    [["-D", "web:http"], /^postern: -D web:http: "http" is no port to listen on\.\n$/],
    [["-R", "9000:[::1:80"], /^postern: -R 9000:\[::1:80: a bracket or a field is not closed\.\n$/],
  ] as const) {
    await using child = lab.forward(words);
    const { code, stderr } = await child.outcome();
    assert.match(stderr, sentence);
    assert.equal(code, 2);
  }
  await using none = lab.forward([]);
  const { code, stderr } = await none.outcome();
  assert.match(stderr, /there is nothing to forward: give -L, -R or -D/);
  assert.equal(code, 2);
});

test("the server's reason for a refused connection is told", { skip }, async () => {
  await using lab = await startClientLab({ config: ["PermitOpen 127.0.0.1:2"] });
  await using child = lab.forward(["-L", "0:127.0.0.1:2", "-L", "0:127.0.0.1:3"]);
  const ports = await child.waitFor("two", () => {
    const found = [...child.stdout.toString().matchAll(/^Forwarding 127\.0\.0\.1:(\d+) /gm)];
    return found.length === 2 && found.map(([, port]) => Number(port));
  });
  for (const port of ports) await assert.rejects(readAll(connect({ port, host: "127.0.0.1" })), /ECONNRESET/);
  await child.waitForStdout(
    /^\[1\] refused from 127\.0\.0\.1:\d+ to 127\.0\.0\.1:2: 127\.0\.0\.1:\d+ refused 127\.0\.0\.1:2: Connection refused\.$/m,
  );
  await child.waitForStdout(
    /^\[2\] refused from .* to 127\.0\.0\.1:3: .*: open failed\.$|^\[2\] refused .*administratively prohibited.*$/m,
  );
});

test("--ready-fd and the service manager are told when it holds", { skip }, async () => {
  await using lab = await startClientLab();
  await writeFile(lab.folder.at("ready"), "");
  const fd = openSync(lab.folder.at("ready"), "w");
  await using child = lab.forward(["--ready-fd", "3", "-D", "0"], { descriptors: [fd] });
  await until("a line at the descriptor", () => readFileSync(lab.folder.at("ready"), "utf8") === "ready\n");
  assert.ok(child.running);
});

test("settings of ssh_config make it whole: forwardings, host, port, key", { skip }, async () => {
  await using lab = await startClientLab();
  await using target = await startListener(answerAfterEnd);
  const port = await freePort();
  const lines = [
    "Host tunnel",
    "  HostName 127.0.0.1",
    `  Port ${lab.sshd.port}`,
    `  User ${lab.destination.split("@")[0]}`,
    `  IdentityFile ${lab.key.path}`,
    `  UserKnownHostsFile ${lab.sshd.knownHosts}`,
    `  LocalForward ${port} 127.0.0.1:${target.port}`,
    "  BatchMode yes",
  ];
  await writeFile(lab.folder.at("config"), `${lines.join("\n")}\n`);
  await using child = lab.postern(["forward", "-F", lab.folder.at("config"), "tunnel"]);
  await child.waitForStdout(/^Forwarding /m);
  assert.match(await askAndEnd({ port }, "hello"), /^5 /);
});

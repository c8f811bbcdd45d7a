/** What the server may use of ours: the agent (`postern ssh -A`) and the display (`-X`, `-Y`), and only when it was offered. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { userInfo } from "node:os";
import { after, before, test } from "node:test";
import { startAgent } from "#test/support/agent";
import { Child, type Outcome, succeed } from "#test/support/child";
import { type ClientLab, startClientLab } from "#test/support/client-lab";
import { missing, stranger } from "#test/support/strangers";
import { makeKey } from "#test/support/test-keys";

const skip = missing("ssh", "sshd");
const me = userInfo().username;
let lab: ClientLab;

before(async () => {
  if (skip === false) lab = await startClientLab();
});
after(async () => {
  await lab?.[Symbol.asyncDispose]();
});

async function ssh(words: readonly string[], env: Record<string, string>): Promise<Outcome> {
  await using child = lab.postern(["ssh", ...lab.options, "-p", String(lab.sshd.port), ...words], { env });
  return await child.outcome();
}

const there = `${me}@127.0.0.1`;

test("-A: the keys of the agent are there for whoever is on the server, and sign", { skip }, async () => {
  const key = makeKey(lab.folder.at("held"), "ed25519");
  await using agent = await startAgent([key.path]);
  const env = { SSH_AUTH_SOCK: agent.socket };
  const listed = await ssh(["-A", there, "ssh-add", "-L"], env);
  assert.equal(listed.code, 0, listed.stderr);
  assert.equal(listed.stdout.toString().split(" ")[1], key.publicLine.split(" ")[1]);
  // ssh-add -T signs with it and checks the signature.
  const signed = await ssh(["-A", there, `ssh-add -T ${key.path}.pub`], env);
  assert.equal(signed.code, 0, signed.stderr);
  for (const words of [[there], ["-A", "-a", there], ["-o", "ForwardAgent=no", there]]) {
    const without = await ssh([...words, "ssh-add -l"], env);
    assert.equal(without.code, 2, `${words.join(" ")}: ${without.stdout.toString()}`);
  }
});

test("ForwardAgent: yes, a socket, and a variable that names one", { skip }, async () => {
  const key = makeKey(lab.folder.at("other"), "ed25519");
  await using agent = await startAgent([key.path]);
  for (const [value, env] of [
    ["yes", { SSH_AUTH_SOCK: agent.socket }],
    [agent.socket, { SSH_AUTH_SOCK: "" }],
    ["$MY_AGENT", { SSH_AUTH_SOCK: "", MY_AGENT: agent.socket }],
  ] as const) {
    const { code, stdout, stderr } = await ssh(["-o", `ForwardAgent=${value}`, there, "ssh-add -L"], env);
    assert.equal(code, 0, `${value}: ${stderr}`);
    assert.equal(stdout.toString().split(" ")[1], key.publicLine.split(" ")[1]);
  }
});

test("a key that may be used for one host alone: the agent is told where it signs", { skip }, async () => {
  const key = makeKey(lab.folder.at("bound"), "ed25519");
  await using agent = await startAgent([]);
  const env = { SSH_AUTH_SOCK: agent.socket };
  const add = stranger("ssh").replace(/ssh$/, "ssh-add");
  const name = `[127.0.0.1]:${lab.sshd.port}`;
  await succeed(add, ["-q", "-H", lab.sshd.knownHosts, "-h", name, key.path], { env });
  // For our own login it may sign; from there it leads nowhere, so whoever is there does not even see it.
  await using only = await startClientLab({
    authorizedKeys: [key.publicLine],
    hostKeyFiles: lab.sshd.hostKeys,
  });
  const words = [
    "ssh",
    "-F",
    "none",
    "-o",
    `UserKnownHostsFile=${only.sshd.knownHosts}`,
    "-o",
    "BatchMode=yes",
  ];
  await using child = only.postern(
    [...words, "-p", String(only.sshd.port), "-A", there, "ssh-add -l; true"],
    { env },
  );
  const { code, stdout, stderr } = await child.outcome();
  assert.equal(code, 0, stderr);
  assert.match(stdout.toString(), /no identities/);
});

test("an agent that is gone is told in a sentence; the session goes on", { skip }, async () => {
  const env = { SSH_AUTH_SOCK: lab.folder.at("nobody") };
  const { code, stdout, stderr } = await ssh(["-A", there, "ssh-add -l; echo on"], env);
  assert.equal(code, 0);
  assert.match(stdout.toString(), /on\n$/);
  assert.match(stderr, /The agent at .*nobody is of no use: there is no such socket\./);
});

const xSkip = missing("ssh", "sshd", "xauth", "Xvfb", "xdpyinfo");

/** An X server that lets nobody in without its cookie. When its last client leaves, it would begin anew and forget the cookies it gave. */
async function startXServer(): Promise<AsyncDisposable & { readonly env: Record<string, string> }> {
  const cookie = randomBytes(16).toString("hex");
  const file = lab.folder.at("xauthority");
  const add = (display: string): Promise<string> =>
    succeed("xauth", ["-f", file, "add", display, ".", cookie]);
  await add(":0");
  const child = new Child("Xvfb", [
    "-noreset",
    "-displayfd",
    "1",
    "-auth",
    file,
    "-nolisten",
    "tcp",
    "+extension",
    "SECURITY",
  ]);
  const [, number = ""] = await child.waitForStdout(/^(\d+)\n/);
  await add(`:${number}`);
  return {
    env: { DISPLAY: `:${number}`, XAUTHORITY: file },
    [Symbol.asyncDispose]: () => child[Symbol.asyncDispose](),
  };
}

test("-Y and -X: a program there draws here; it never sees the display's own cookie", {
  skip: xSkip,
}, async () => {
  await using server = await startXServer();
  const own = await succeed("xauth", ["-f", server.env["XAUTHORITY"] ?? "", "list"]);
  const [, real = "-"] = /MIT-MAGIC-COOKIE-1\s+([0-9a-f]{32})/.exec(own) ?? [];
  for (const flag of ["-Y", "-X"]) {
    const { code, stdout, stderr } = await ssh([flag, there, "xauth list $DISPLAY; xdpyinfo"], server.env);
    assert.equal(code, 0, `${flag}: ${stderr}`);
    assert.match(stdout.toString(), /name of display:\s+\S*:\d+/, flag);
    assert.match(stdout.toString(), /MIT-MAGIC-COOKIE-1\s+[0-9a-f]{32}/);
    assert.ok(!stdout.toString().includes(real), flag);
    // The X server shows its security extension to those alone whom it trusts.
    assert.equal(/^ +SECURITY$/m.test(stdout.toString()), flag === "-Y", flag);
  }
});

test("without -X there is no display there, and -x is the last word", { skip: xSkip }, async () => {
  await using server = await startXServer();
  for (const words of [[], ["-o", "ForwardX11=yes", "-x"]]) {
    const { stdout } = await ssh([...words, there, 'echo "display:$DISPLAY."'], server.env);
    assert.equal(stdout.toString(), "display:.\n");
  }
});

test("a program there with another cookie is sent away, and told of", { skip: xSkip }, async () => {
  await using server = await startXServer();
  const wrong = "f".repeat(32);
  const command = `xauth -q add $DISPLAY . ${wrong}; xdpyinfo`;
  const { code, stderr } = await ssh(["-Y", there, command], server.env);
  assert.notEqual(code, 0);
  assert.match(stderr, /An X11 connection from \S+ was refused: its cookie is not ours\./);
});

test("what cannot be forwarded is told, and the session goes on", { skip: xSkip }, async () => {
  const nowhere = await ssh(["-X", there, "echo on"], {
    DISPLAY: ":4242",
    XAUTHORITY: lab.folder.at("none"),
  });
  assert.deepEqual([nowhere.code, nowhere.stdout.toString()], [0, "on\n"]);
  assert.match(
    nowhere.stderr,
    /No X11 forwarding: the X server of :4242 gives out no cookie for untrusted programs/,
  );
  const nonsense = await ssh(["-Y", there, "echo on"], { DISPLAY: "what is this" });
  assert.match(nonsense.stderr, /"what is this" is no display/);
  await using strict = await startClientLab({ config: ["X11Forwarding no"] });
  await using server = await startXServer();
  const words = ["ssh", ...strict.options, "-p", String(strict.sshd.port), "-Y", there, "echo on"];
  await using child = strict.postern(words, { env: server.env });
  const { code, stderr } = await child.outcome();
  assert.equal(code, 0);
  assert.match(stderr, /The server does not forward X11/);
});

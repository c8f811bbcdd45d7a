/** `postern ssh`: commands, input, output, exit status, terminals, and what it says when things go wrong. */
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { userInfo } from "node:os";
import { after, before, test } from "node:test";
import { run, type Outcome } from "#test/support/child";
import { type ClientLab, startClientLab } from "#test/support/client-lab";
import { program } from "#test/support/gateway";
import { noTerminal, runOnPty } from "#test/support/pty";
import { missing, stranger } from "#test/support/strangers";
import { makeKey } from "#test/support/test-keys";
import { until } from "#test/support/waiting";

const skip = missing("ssh", "sshd");
let lab: ClientLab;

before(async () => {
  if (skip === false) lab = await startClientLab();
});
after(async () => {
  await lab?.[Symbol.asyncDispose]();
});

const me = userInfo().username;

function args(...more: string[]): string[] {
  return ["ssh", ...lab.options, "-p", String(lab.sshd.port), ...more];
}

async function ssh(words: readonly string[], stdin: string | Uint8Array = ""): Promise<Outcome> {
  await using child = lab.postern(args(`${me}@127.0.0.1`, ...words), { stdin: { data: stdin } });
  return await child.outcome();
}

test("a command's output, errors and exit status come back apart", { skip }, async () => {
  const { code, stdout, stderr } = await ssh(["echo out; echo err >&2; exit 7"]);
  assert.equal(stdout.toString(), "out\n");
  assert.equal(stderr, "err\n");
  assert.equal(code, 7);
});

test("input goes there and its end is told; megabytes come back whole", { skip }, async () => {
  const data = randomBytes(20_000_000);
  const sum = createHash("sha256").update(data).digest("hex");
  const there = await ssh(["sha256sum"], data);
  assert.equal(there.stdout.toString().slice(0, 64), sum, there.stderr);
  const back = await ssh(["cat"], data);
  assert.equal(createHash("sha256").update(back.stdout).digest("hex"), sum, back.stderr);
});

test("a command that a signal ended, and a reader that goes away, end it as with ssh", { skip }, async () => {
  assert.equal((await ssh(["kill -KILL $$"])).code, 255);
  const line = [process.execPath, program, ...args(`${me}@127.0.0.1`), "'yes; true'"].join(" ");
  const { stdout } = await run("/bin/sh", ["-c", `${line} | head -n 1`], { env: { HOME: lab.folder.path } });
  assert.equal(stdout.toString(), "y\n");
});

test("sftp, scp, rsync and git take it for their ssh", {
  skip: skip || missing("git", "rsync"),
}, async () => {
  const wrapper = lab.folder.at("wrapper");
  const own = lab.options.map((word) => `'${word}'`).join(" ");
  await writeFile(wrapper, `#!/bin/sh\nexec ${process.execPath} ${program} ssh ${own} "$@"\n`, {
    mode: 0o755,
  });
  await writeFile(lab.folder.at("from"), "some text");
  const batch = lab.folder.at("batch");
  await writeFile(batch, `put ${lab.folder.at("from")} ${lab.folder.at("to")}\n`);
  const sftp = await run("sftp", [
    "-S",
    wrapper,
    "-b",
    batch,
    "-P",
    String(lab.sshd.port),
    `${me}@127.0.0.1`,
  ]);
  assert.equal(sftp.code, 0, sftp.stderr);
  const place = (name: string): string => `${me}@127.0.0.1:${lab.folder.at(name)}`;
  const port = String(lab.sshd.port);
  const scp = await run("scp", ["-q", "-S", wrapper, "-P", port, lab.folder.at("from"), place("scp")]);
  assert.equal(scp.code, 0, scp.stderr);
  const shell = `${wrapper} -p ${port}`;
  const rsync = await run(stranger("rsync"), ["-e", shell, place("scp"), lab.folder.at("rsync")]);
  assert.equal(rsync.code, 0, rsync.stderr);
  assert.equal(await readFile(lab.folder.at("rsync"), "utf8"), "some text");
  const repository = lab.folder.at("repository");
  await run(stranger("git"), ["init", "-q", repository]);
  const identity = ["-c", "user.name=a", "-c", "user.email=a@example.com"];
  await run(stranger("git"), ["-C", repository, ...identity, "commit", "-q", "--allow-empty", "-m", "first"]);
  const url = `ssh://${me}@127.0.0.1:${lab.sshd.port}${repository}`;
  const env = { GIT_SSH_COMMAND: wrapper, GIT_SSH_VARIANT: "ssh" };
  const clone = await run(stranger("git"), ["clone", "-q", url, lab.folder.at("clone")], { env });
  assert.equal(clone.code, 0, clone.stderr);
});

test("a terminal: its size, a resize, raw keys, and ~. at a line's beginning", {
  skip: skip || noTerminal || missing("python3"),
}, async () => {
  const script =
    'stty size; echo READY; until [ "$(stty size)" = "40 120" ]; do sleep 0.1; done; echo RESIZED; while read -r line; do echo got $line; done';
  const { code, stdout } = await runOnPty(
    {
      rows: 33,
      columns: 111,
      command: [process.execPath, program, ...args("-t", `${me}@127.0.0.1`, script)],
      steps: [
        { expect: "33 111" },
        { expect: "READY", resize: [40, 120] },
        { expect: "RESIZED", send: "one\r" },
        { expect: "got one", send: "two\r" },
        { expect: "got two", send: "~." },
      ],
    },
    { env: { HOME: lab.folder.path } },
  );
  assert.equal(code, 255, stdout.toString());
});

test("a full-screen program in tmux is painted right, and again after a resize", {
  skip: skip || noTerminal || missing("tmux"),
}, async () => {
  const outer = ["-S", lab.folder.at("outer"), "-f", "/dev/null"];
  const inner = `tmux -S ${lab.folder.at("inner")} -f /dev/null new-session "echo hello from inside; cat" \\; set status-left "[inner bar]"`;
  const line = [process.execPath, program, ...args("-t", `${me}@127.0.0.1`), `'${inner}'`].join(" ");
  const tmux = (...words: string[]): Promise<Outcome> =>
    run(stranger("tmux"), [...outer, ...words], { env: { HOME: lab.folder.path, TERM: "screen-256color" } });
  const started = await tmux("new-session", "-d", "-x", "80", "-y", "24", line);
  assert.equal(started.code, 0, started.stderr);
  // Without its own bar, all rows are the inner one's.
  await tmux("set", "-g", "status", "off");
  await tmux("resize-window", "-x", "80", "-y", "24");
  const shows = async (rows: number): Promise<boolean> => {
    const { stdout } = await tmux("capture-pane", "-p");
    const lines = stdout.toString().split("\n");
    return lines[0] === "hello from inside" && (lines[rows - 1] ?? "").startsWith("[inner bar");
  };
  try {
    await until("24 rows", () => shows(24));
    await tmux("resize-window", "-x", "100", "-y", "31");
    await until("31 rows", () => shows(31));
  } finally {
    await tmux("kill-server");
    await run(stranger("tmux"), ["-S", lab.folder.at("inner"), "kill-server"]);
  }
});

test("an encrypted key: asked on the terminal without echo, three times", {
  skip: skip || missing("python3"),
}, async () => {
  const key = makeKey(lab.folder.at("locked"), "ed25519");
  await run(stranger("ssh").replace(/ssh$/, "ssh-keygen"), ["-q", "-p", "-N", "open sesame", "-f", key.path]);
  await using other = await startClientLab({ authorizedKeys: [key.publicLine] });
  const command = [
    process.execPath,
    program,
    "ssh",
    "-F",
    "none",
    "-i",
    key.path,
    "-o",
    `UserKnownHostsFile=${other.sshd.knownHosts}`,
    "-p",
    String(other.sshd.port),
    `${me}@127.0.0.1`,
    "echo in",
  ];
  const { code, stdout } = await runOnPty(
    {
      command,
      steps: [
        { expect: "Passphrase of .*locked: ", send: "wrong\r" },
        { expect: "That was not right. Passphrase of .*: ", send: "open sesame\r" },
        { expect: "in" },
      ],
    },
    { env: { HOME: other.folder.path, SSH_AUTH_SOCK: "", SSH_ASKPASS: "" } },
  );
  assert.equal(code, 0, stdout.toString());
  assert.doesNotMatch(stdout.toString(), /sesame|wrong/);
});

const sentences: readonly [what: string, options: () => string[] | Promise<string[]>, sentence: RegExp][] = [
  [
    "a refused port",
    () => [...lab.options, "-p", "1", "a@127.0.0.1", "true"],
    /^postern: Cannot connect to 127\.0\.0\.1 port 1: connection refused; .*\n$/,
  ],
  [
    "a name that does not resolve",
    () => [...lab.options, "a@nowhere.invalid", "true"],
    /^postern: Cannot connect to nowhere\.invalid port 22: the name does not resolve.*\n$/,
  ],
  [
    "a host key that is not known",
    () => [
      "-F",
      "none",
      "-o",
      "UserKnownHostsFile=/dev/null",
      "-o",
      "BatchMode=yes",
      "-p",
      String(lab.sshd.port),
      `${me}@127.0.0.1`,
      "true",
    ],
    /^postern: The host key of \[127\.0\.0\.1\]:\d+ is not known: ssh-ed25519 SHA256:\S+\. If that is right, .*\n$/,
  ],
  [
    "no key that fits",
    () => [
      "-F",
      "none",
      "-o",
      `UserKnownHostsFile=${lab.sshd.knownHosts}`,
      "-o",
      "BatchMode=yes",
      "-p",
      String(lab.sshd.port),
      `${me}@127.0.0.1`,
      "true",
    ],
    /^postern: 127\.0\.0\.1:\d+ does not let \S+ in\. It takes publickey.*; there was nothing to try: .*\n$/,
  ],
  [
    "a file of a password that is not there",
    () => ["-F", "none", "--password-file", lab.folder.at("nothing"), "a@127.0.0.1", "true"],
    /^postern: .*nothing cannot be used as a password: there is no such file\.\n$/,
  ],
  [
    "a folder in place of an ssh_config",
    () => ["-F", lab.folder.path, "a@127.0.0.1", "true"],
    /^postern: .* cannot be read: it is a folder\.\n$/,
  ],
  [
    "a line of ssh_config that is none",
    async () => {
      await writeFile(lab.folder.at("broken"), 'Host *\n  User "ada\n');
      return ["-F", lab.folder.at("broken"), "a@127.0.0.1", "true"];
    },
    /^postern: .*broken:2: a quote is not closed\.\n$/,
  ],
  [
    "an ssh_config that is not there",
    () => ["-F", lab.folder.at("nothing"), "a@127.0.0.1"],
    /^postern: .*nothing: there is no such file\.\n$/,
  ],
];
for (const [what, options, sentence] of sentences) {
  test(`${what}: one sentence, and 255`, { skip }, async () => {
    await using child = lab.postern(["ssh", ...(await options())]);
    const { code, stderr, stdout } = await child.outcome();
    assert.match(stderr, sentence);
    assert.equal(stdout.length, 0);
    assert.equal(code, 255);
  });
}

test("a host key that has changed is refused even with --accept-new", { skip }, async () => {
  await using other = await startClientLab({ port: lab.sshd.port + 0, host: "127.0.0.2" });
  const wrong = lab.folder.at("wrong_hosts");
  const line = (await run("cat", [lab.sshd.knownHosts])).stdout.toString();
  await writeFile(wrong, line.replaceAll("127.0.0.1", "127.0.0.2"));
  await using child = other.postern([
    "ssh",
    "-F",
    "none",
    "-i",
    other.key.path,
    "--accept-new",
    "-o",
    `UserKnownHostsFile=${wrong}`,
    "-p",
    String(other.sshd.port),
    `${me}@127.0.0.2`,
    "true",
  ]);
  const { code, stderr } = await child.outcome();
  assert.match(
    stderr,
    /^postern: The host key of \[127\.0\.0\.2\]:\d+ has changed: it shows ssh-ed25519 \S+, and another is known from .*wrong_hosts:1\. .* ssh-keygen -R '\[127\.0\.0\.2\]:\d+'\n$/,
  );
  assert.equal(code, 255);
});

test("a server that accepts and says nothing is given up after ConnectTimeout; Ctrl-C before that ends it with 130", {
  skip,
}, async () => {
  const silent = createServer(() => {});
  await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
  const port = String((silent.address() as AddressInfo).port);
  try {
    await using late = lab.postern([
      "ssh",
      ...lab.options,
      "-o",
      "ConnectTimeout=1",
      "-p",
      port,
      "a@127.0.0.1",
    ]);
    const { code, stderr } = await late.outcome();
    assert.match(
      stderr,
      /^postern: No SSH connection to 127\.0\.0\.1:\d+: it accepted the connection, but did not complete the key exchange in 1 s\.\n$/,
    );
    assert.equal(code, 255);
    const taken = new Promise((resolve) => silent.once("connection", resolve));
    await using stopped = lab.postern(["ssh", ...lab.options, "-p", port, "a@127.0.0.1"]);
    await taken;
    stopped.kill("SIGINT");
    const ended = await stopped.outcome();
    assert.equal(ended.code, 130, ended.stderr);
    assert.equal(ended.stderr, "");
  } finally {
    silent.close();
  }
});

/** What a client sees through the gateway is what it sees without: commands, data, terminals. */
import assert from "node:assert/strict";
import { after, before } from "node:test";
import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { bothWays, startBench, type Bench } from "#test/support/both-ways";
import { run } from "#test/support/child";
import { sha256, testBytes } from "#test/support/data";
import { noTerminal, runOnPty } from "#test/support/pty";
import { missing } from "#test/support/strangers";
import { runSsh, spawnSsh, sshCommand, sshPlace, sshSettings } from "#test/support/ssh";

let bench: Bench;
const skip = missing("ssh", "sshd", "python3");
before(async () => {
  if (skip === false)
    bench = await startBench({ byAgent: true, sshd: { hostKeys: ["ed25519", "ecdsa-256"] } });
});
after(async () => {
  await bench?.[Symbol.asyncDispose]();
});
const both = <T>(
  name: string,
  check: Parameters<typeof bothWays<T>>[2],
  unless: string | false = false,
): void => bothWays(name, () => bench, check, { skip: skip || unless, byAgent: true });

both("exec: output and exit status 0", async ({ target }) => {
  const { code, stdout } = await runSsh(target, ["echo out; id -un"]);
  assert.deepEqual([code, stdout.toString()], [0, `out\n${target.user}\n`]);
  return stdout.toString();
});

both("exec: exit status 127 and its message on stderr", async ({ target }) => {
  const { code, stderr } = await runSsh(target, ["no-such-command-here"]);
  assert.equal(code, 127);
  assert.match(stderr, /no-such-command-here: command not found/);
  return stderr;
});

both("exec: a signal that ends the command is told by its name", async ({ target }) => {
  const { code, stderr } = await runSsh(target, ["kill -SEGV $$"], { flags: ["-vvv"] });
  assert.equal(code, 255);
  assert.match(stderr, /rtype exit-signal reply 0/);
  return code;
});

both("exec: stdin at its end from the start", async ({ target }) => {
  const { code, stdout } = await runSsh(target, ["cat; echo done"], { stdin: "none" });
  assert.deepEqual([code, stdout.toString()], [0, "done\n"]);
});

both("exec: 20 MB of stdin arrive whole", async ({ target }) => {
  const data = testBytes(20_000_000);
  const { code, stdout } = await runSsh(target, ["sha256sum"], { stdin: { data } });
  assert.equal(code, 0);
  assert.equal(stdout.toString().split(" ")[0], sha256(data));
});

both("exec: 20 MB go through cat and back", async ({ target }) => {
  const data = testBytes(20_000_000, 7);
  const { code, stdout } = await runSsh(target, ["cat"], { stdin: { data } });
  assert.equal(code, 0);
  assert.equal(sha256(stdout), sha256(data));
});

both("exec: 5 MB of stderr and 5 MB of stdout, each whole and apart", async ({ target }) => {
  const script = "head -c 5000000 /dev/zero | tr '\\0' o; head -c 5000000 /dev/zero | tr '\\0' e >&2";
  for (const command of [script, `(${script.replace(";", " &")}); wait; exit 5`]) {
    const { code, stdout, stderr } = await runSsh(target, [command]);
    assert.equal(code, command === script ? 0 : 5);
    assert.equal(stdout.length, 5_000_000);
    assert.ok(stdout.every((byte) => byte === 0x6f));
    assert.equal(stderr.length, 5_000_000);
    assert.equal(stderr.replaceAll("e", ""), "");
  }
});

both("exec: a client that stops reading early breaks the command's pipe", async ({ target, folder }) => {
  const told = folder.at("told");
  await using ssh = spawnSsh(target, [`yes; echo $? > ${told}`], { stalled: true });
  const first = await new Promise<Buffer>((resolve) => ssh.process.stdout?.once("data", resolve));
  assert.equal(first.subarray(0, 4).toString(), "y\ny\n");
  ssh.process.stdout?.destroy();
  await ssh.outcome();
  // By eow@openssh.com (OpenSSH's PROTOCOL, section 2.1); 141 is 128 and SIGPIPE.
  assert.equal(await readFile(told, "utf8"), "141\n");
});

both(
  "pty: terminal modes, size and TERM are those of the client's terminal",
  async ({ target }) => {
    const stty = ["intr", "^X", "erase", "^H", "-echo", "-icrnl", "istrip", "rows", "37", "columns", "101"];
    const { code, stdout } = await runOnPty(
      {
        rows: 37,
        columns: 101,
        stty,
        command: [
          "ssh",
          ...sshCommand(target, ["stty -a; echo term is $TERM; tty >/dev/null && echo on a tty"], {
            flags: ["-tt"],
          }),
        ],
      },
      { env: { TERM: "vt220" } },
    );
    const text = stdout.toString();
    assert.equal(code, 0);
    assert.match(text, /rows 37; columns 101;/);
    assert.match(text, /intr = \^X;.*erase = \^H;/s);
    assert.match(text, /-icrnl/);
    assert.match(text, /term is vt220/);
    assert.match(text, /on a tty/);
    return text.replaceAll(/\/dev\/pts\/\d+/g, "");
  },
  noTerminal,
);

both(
  "pty: a new window size reaches the program (SIGWINCH)",
  async ({ target }) => {
    const watch = `trap 'stty size; exit 0' WINCH; echo READY; while :; do sleep 0.05; done`;
    const { code, stdout } = await runOnPty({
      rows: 24,
      columns: 80,
      command: ["ssh", ...sshCommand(target, [`bash -c ${JSON.stringify(watch)}`], { flags: ["-tt"] })],
      steps: [{ expect: "READY", resize: [50, 132] }, { expect: "50 132" }],
    });
    assert.equal(code, 0);
    return stdout.toString();
  },
  noTerminal,
);

both(
  "pty: Ctrl-C interrupts, and the status is told",
  async ({ target }) => {
    const command = `trap 'echo interrupted; exit 9' INT; echo READY; while :; do sleep 0.05; done`;
    const { code } = await runOnPty({
      command: ["ssh", ...sshCommand(target, [`bash -c ${JSON.stringify(command)}`], { flags: ["-tt"] })],
      steps: [{ expect: "READY", send: "\x03" }, { expect: "interrupted" }],
    });
    assert.equal(code, 9);
  },
  noTerminal,
);

both(
  "pty: break is answered (~B)",
  async ({ target }) => {
    const { code } = await runOnPty({
      command: [
        "ssh",
        ...sshCommand(target, ["echo READY; read -r line; echo got $line; exit 6"], { flags: ["-tt", "-v"] }),
      ],
      steps: [
        { expect: "READY", send: "\r~B" },
        // The first line ends the read; what matters is that the session lives on after the request.
        { expect: "got" },
      ],
    });
    assert.equal(code, 6);
  },
  noTerminal,
);

both(
  "shell: on a terminal",
  async ({ target }) => {
    const { code } = await runOnPty({
      command: ["ssh", ...sshCommand(target, [])],
      steps: [{ expect: "[$#] ", send: "echo $((6*7))-answer; exit 3\n" }, { expect: "42-answer" }],
    });
    assert.equal(code, 3);
  },
  noTerminal,
);

both("shell: without a terminal, from a script on stdin", async ({ target }) => {
  const script = "echo one\necho two >&2\nexit 4\n";
  const { code, stdout, stderr } = await runSsh(target, [], { stdin: { data: script }, flags: ["-T", "-q"] });
  assert.equal(code, 4);
  assert.match(stdout.toString(), /one\n$/);
  assert.match(stderr, /two/);
});

both("env: SetEnv and SendEnv", async ({ target }) => {
  const { stdout } = await runSsh(target, ["echo $POSTERN_A $POSTERN_B"], {
    options: ["SetEnv=POSTERN_A=set", "SendEnv=POSTERN_B"],
    env: { POSTERN_B: "sent" },
  });
  assert.equal(stdout.toString(), "set sent\n");
});

both("sftp: put, list, rename, read back, and an error in words", async ({ target, folder }) => {
  const data = testBytes(3_000_000, 3);
  await writeFile(folder.at("up"), data);
  const there = folder.at("there");
  const batch = [
    `mkdir ${there}`,
    `put ${folder.at("up")} ${there}/a`,
    `rename ${there}/a ${there}/b`,
    `ls -1 ${there}`,
    `get ${there}/b ${folder.at("down")}`,
    `-get ${there}/none ${folder.at("none")}`,
    `rm ${there}/b`,
    `rmdir ${there}`,
  ];
  await writeFile(folder.at("batch"), `${batch.join("\n")}\n`);
  const settings = [
    ...sshSettings(target),
    "-P",
    String(target.port),
    "-b",
    folder.at("batch"),
    sshPlace(target),
  ];
  const { code, stdout, stderr } = await run("sftp", settings);
  assert.equal(code, 0, stderr);
  assert.equal(sha256(await readFile(folder.at("down"))), sha256(data));
  assert.match(stderr, /File ".*none" not found/);
  assert.ok(!existsSync(there));
  return stdout.toString().replaceAll(folder.path, "FOLDER").replaceAll(target.host, "HOST");
});

both("sftp as a bare subsystem: the first packet is answered", async ({ target }) => {
  await using ssh = spawnSsh(target, ["sftp"], { flags: ["-s"], stdin: "open" });
  // SSH_FXP_INIT, version 3 (draft-ietf-secsh-filexfer-02, section 4).
  ssh.stdin.write(Buffer.from("000000050100000003", "hex"));
  const answer = await ssh.waitFor("SSH_FXP_VERSION", () => ssh.stdout.length > 9 && ssh.stdout);
  assert.deepEqual([answer[4], answer.readUInt32BE(5)], [2, 3]);
  ssh.stdin.end();
  assert.equal((await ssh.outcome()).code, 0);
  return answer.toString("hex");
});

both("subsystem: an unknown one is refused", async ({ target }) => {
  const { code, stderr } = await runSsh(target, ["no-such-subsystem"], { flags: ["-s"] });
  assert.equal(code, 255);
  assert.match(stderr, /subsystem request failed/);
});

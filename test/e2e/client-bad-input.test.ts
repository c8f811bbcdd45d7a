/** `postern forward`, `connect` and `ssh` when things are not as they should be, and Ctrl-C at each stage: a sentence, the code, no hang. */
import assert from "node:assert/strict";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { userInfo } from "node:os";
import { after, before, test } from "node:test";
import type { Child, Outcome } from "#test/support/child";
import { type ClientLab, startClientLab } from "#test/support/client-lab";
import { program } from "#test/support/gateway";
import { knownHostsLine, makeKey } from "#test/support/test-keys";
import { runOnPty } from "#test/support/pty";
import { missing } from "#test/support/strangers";
import { writeFile } from "node:fs/promises";

const skip = missing("ssh", "sshd");
const me = userInfo().username;
let lab: ClientLab;
/** Accepts and says nothing. */
let silent: Server;

before(async () => {
  if (skip !== false) return;
  lab = await startClientLab();
  silent = createServer(() => {});
  await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
});
after(async () => {
  silent?.close();
  await lab?.[Symbol.asyncDispose]();
});

const silentPort = (): number => (silent.address() as AddressInfo).port;

/** One sentence, and nothing else: no stack trace, no second line. */
function sentence({ stderr }: Outcome, pattern: RegExp): void {
  assert.match(stderr, /^postern: [^\n]+\n$/);
  assert.match(stderr, pattern);
}

const forward = (...words: string[]): Child =>
  lab.postern(["forward", ...lab.options, "-L", "0:web:80", ...words]);

const bad: readonly [what: string, start: () => Child | Promise<Child>, pattern: RegExp][] = [
  ["a refused port", () => forward("a@127.0.0.1:1"), /connection refused; nothing listens there/],
  ["a name that does not resolve", () => forward("a@nowhere.invalid"), /the name does not resolve/],
  [
    "a server that accepts and says nothing",
    () => forward("-o", "ConnectTimeout=1", `a@127.0.0.1:${silentPort()}`),
    /did not complete the key exchange in 1 s/,
  ],
  [
    "a host key that changed",
    async () => {
      const other = makeKey(lab.folder.at("other_host"), "ed25519");
      const file = lab.folder.at("changed");
      await writeFile(file, `${knownHostsLine("127.0.0.1", lab.sshd.port, other.publicLine)}\n`);
      return lab.postern([
        "forward",
        "-F",
        "none",
        "-i",
        lab.key.path,
        "-o",
        `UserKnownHostsFile=${file}`,
        "--accept-new",
        "-L",
        "0:web:80",
        lab.destination,
      ]);
    },
    /has changed.*ssh-keygen -R/,
  ],
  [
    "a key that is not let in",
    () =>
      lab.postern([
        "forward",
        "-F",
        "none",
        "-o",
        `UserKnownHostsFile=${lab.sshd.knownHosts}`,
        "-o",
        "BatchMode=yes",
        "-L",
        "0:web:80",
        lab.destination,
      ]),
    /does not let \S+ in/,
  ],
  [
    "a jump host that refuses",
    () => forward("-J", "a@127.0.0.1:1", "a@web"),
    /127\.0\.0\.1 port 1: connection refused/,
  ],
  [
    "a ProxyCommand that fails",
    () => forward("-o", "ProxyCommand=false", "a@web"),
    /No SSH connection to web: it closed the connection before the key exchange/,
  ],
];
for (const [what, start, pattern] of bad) {
  test(`forward, ${what}: one sentence, and 1`, { skip }, async () => {
    await using child = await start();
    const outcome = await child.outcome();
    sentence(outcome, pattern);
    assert.equal(outcome.code, 1);
  });
}

for (const [what, words, pattern] of [
  [
    "a forwarding without a place",
    ["-L", "80:web", "a@web"],
    /-L 80:web: write \[address:\]port:host:port\./,
  ],
  ["a port that is none", ["-D", "99999", "a@web"], /-D 99999: .*port/],
  ["a setting without a value", ["-o", "Port", "-D", "0", "a@web"], /-o Port: write Key=value\./],
] as const) {
  test(`forward, ${what}: one sentence, and 2`, { skip }, async () => {
    await using child = lab.postern(["forward", "-F", "none", ...words]);
    const outcome = await child.outcome();
    sentence(outcome, pattern);
    assert.equal(outcome.code, 2);
  });
}

for (const [what, words, pattern, code] of [
  ["a refused port", ["127.0.0.1:1", "web1"], /connection refused/, 1],
  ["a name that does not resolve", ["nowhere.invalid:443", "web1"], /the name does not resolve/, 1],
  ["a gate that is no place", ["--via", "connect", "ftp://gate", "web1"], /gate/i, 2],
  ["a port that is none", ["gate:443", "web1", "ssh"], /"ssh" is no port/, 2],
] as const) {
  test(`connect, ${what}: one sentence, and ${code}`, { skip }, async () => {
    await using child = lab.postern(["connect", ...words]);
    const outcome = await child.outcome();
    sentence(outcome, pattern);
    assert.equal(outcome.code, code);
    assert.equal(outcome.stdout.length, 0);
  });
}

/** Waits until somebody has come to the silent server, then presses Ctrl-C. */
async function stopped(start: () => Child): Promise<Outcome> {
  const come = new Promise<Socket>((resolve) => silent.once("connection", resolve));
  await using child = start();
  await Promise.race([come, child.outcome()]);
  child.kill("SIGINT");
  return await child.outcome();
}

test("Ctrl-C while a server that says nothing is waited for", { skip }, async () => {
  const tunnel = await stopped(() => forward(`a@127.0.0.1:${silentPort()}`));
  assert.deepEqual([tunnel.code, tunnel.stderr], [0, ""]);
  const login = await stopped(() =>
    lab.postern(["ssh", ...lab.options, `a@127.0.0.1:${silentPort()}`, "true"]),
  );
  assert.deepEqual([login.code, login.stderr], [130, ""]);
  const gates = ["sni", "connect", "websocket"] as const;
  for (const via of gates) {
    const gate = await stopped(() =>
      lab.postern(["connect", "--via", via, `127.0.0.1:${silentPort()}`, "web1"]),
    );
    assert.equal(gate.code, 130, `${via}: ${gate.stderr}`);
    assert.equal(gate.stderr, "");
  }
  const jump = await stopped(() =>
    lab.postern(["connect", "--via", "jump", ...lab.options, `a@127.0.0.1:${silentPort()}`, "web1"]),
  );
  assert.deepEqual([jump.code, jump.stderr], [130, ""]);
});

test("Ctrl-C while a jump host reaches for the next one", { skip }, async () => {
  const config = lab.folder.at("jump_config");
  const known = `UserKnownHostsFile ${lab.sshd.knownHosts}`;
  await writeFile(config, `Host *\n  IdentityFile ${lab.key.path}\n  ${known}\n  BatchMode yes\n`);
  const far = `a@127.0.0.1:${silentPort()}`;
  const login = await stopped(() => lab.postern(["ssh", "-F", config, "-J", lab.destination, far, "true"]));
  assert.deepEqual([login.code, login.stderr], [130, ""]);
});

test("Ctrl-C at a question: 130, and the terminal is as before", {
  skip: skip || missing("python3"),
}, async () => {
  const words = [
    "-F",
    "none",
    "-o",
    `UserKnownHostsFile=${lab.folder.at("empty")}`,
    "-o",
    "GlobalKnownHostsFile=none",
  ];
  for (const command of ["ssh", "forward"]) {
    const more = command === "forward" ? ["-L", "0:web:80"] : [];
    const line = [process.execPath, program, command, ...words, ...more, `${me}@127.0.0.1:${lab.sshd.port}`];
    const { stdout } = await runOnPty(
      {
        command: ["/bin/sh", "-c", `${line.map((word) => `'${word}'`).join(" ")}; echo "code $?"; stty -a`],
        steps: [
          { expect: "Is that right, and shall it be kept", send: "\x03" },
          { expect: "code 130" },
          { expect: " echo " },
        ],
      },
      { env: { HOME: lab.folder.path, SSH_AUTH_SOCK: "", SSH_ASKPASS: "" } },
    );
    assert.match(stdout.toString(), /code 130/);
    assert.doesNotMatch(stdout.toString(), /\n\s+at /);
  }
});

test("Ctrl-C while a command runs without a terminal ends it with 255; SIGTERM too", { skip }, async () => {
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    await using child = lab.postern(["ssh", ...lab.options, lab.destination, "echo on; exec sleep 1000"], {
      stdin: "open",
    });
    await child.waitForStdout(/on/);
    child.kill(signal);
    const { code, stderr } = await child.outcome();
    assert.deepEqual([code, stderr], [255, ""], signal);
  }
});

test("Ctrl-C while connections pass: 0, and they end", { skip }, async () => {
  await using child = forward(lab.destination, "-L", `0:127.0.0.1:${silentPort()}`);
  const [, port] = await child.waitForStdout(
    new RegExp(`^Forwarding 127\\.0\\.0\\.1:(\\d+) to 127\\.0\\.0\\.1:${silentPort()} `, "m"),
  );
  const socket = connect(Number(port), "127.0.0.1");
  const closed = new Promise<void>((resolve) => socket.on("error", () => {}).once("close", () => resolve()));
  await child.waitForStdout(/opened/);
  child.kill("SIGINT");
  const { code, stderr } = await child.outcome();
  assert.deepEqual([code, stderr], [0, ""]);
  await closed;
});

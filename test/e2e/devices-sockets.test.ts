/** A reverse jump host over UNIX sockets, with the files that people use today: the device's unit and the person's ssh_config. */
import assert from "node:assert/strict";
import { chmod, mkdir, writeFile } from "node:fs/promises";
import { userInfo } from "node:os";
import { after, before, test } from "node:test";
import { Child, run, type Outcome } from "#test/support/child";
import { type DeviceStand, startDeviceStand } from "#test/support/device-stand";
import { missing, stranger } from "#test/support/strangers";
import { bareKey, type KeyFiles } from "#test/support/test-keys";

const skip = missing("ssh", "sshd");
let stand: DeviceStand;

before(async () => {
  if (skip === false) stand = await startDeviceStand();
});
after(async () => {
  await stand?.[Symbol.asyncDispose]();
});

/** The device's unit as it stands in so many files. */
const unit = `[Unit]
Description=Reverse tunnel
After=network-online.target
StartLimitIntervalSec=0

[Service]
ExecStart=/usr/bin/ssh -N -R /home/host/HOSTNAME.sock:localhost:22 -o ExitOnForwardFailure=true -o ServerAliveInterval=10 host@SERVER
Restart=always
RestartSec=5
`;

/** The person's. */
const personConfig = `
Host host-*
    ProxyCommand ssh SERVER nc -U /home/host/%h.sock
    ServerAliveInterval 10
    Hostname %h
`;

/** A machine of its own: `ssh` there reads this and no other configuration. */
async function machine(
  name: string,
  key: KeyFiles,
  config: string,
): Promise<{ env: Record<string, string> }> {
  const home = stand.folder.at(name);
  await mkdir(home);
  const known = `${home}/known_hosts`;
  const [gate] = stand.gateway.hostKeys;
  const [device] = stand.sshd.hostKeys;
  await writeFile(
    known,
    `SERVER ${bareKey(gate?.publicLine ?? "")}\nhost-* ${bareKey(device?.publicLine ?? "")}\n`,
  );
  const own = `
Host SERVER
    HostKeyAlias SERVER
    Hostname ${stand.gateway.host}
    Port ${stand.gateway.port}
Host *
    IdentityFile ${key.path}
    IdentitiesOnly yes
    IdentityAgent none
    BatchMode yes
    UserKnownHostsFile ${known}
    GlobalKnownHostsFile none
`;
  await writeFile(`${home}/config`, `${config}${own}`);
  await writeFile(`${home}/ssh`, `#!/bin/sh\nexec ${stranger("ssh")} -F ${home}/config "$@"\n`);
  await chmod(`${home}/ssh`, 0o755);
  return { env: { PATH: `${home}:/usr/bin:/bin` } };
}

/** The unit's command, with names and the port of this stand. */
function unitCommand(host: string, path?: string): string {
  const line = /^ExecStart=\/usr\/bin\/(.*)$/m.exec(unit)?.[1] ?? "";
  const named = line
    .replace("/home/host/HOSTNAME.sock", path ?? `/home/host/${host}.sock`)
    .replace("localhost:22", `localhost:${stand.sshd.port}`);
  return named;
}

async function person(name: string): Promise<{ ssh: (...words: string[]) => Promise<Outcome> }> {
  const { env } = await machine(name, stand.ada, personConfig.replace("ssh SERVER", "ssh ada@SERVER"));
  return {
    ssh: async (...words) => await run("ssh", ["-l", userInfo().username, ...words], { env }),
  };
}

test("unit and ssh_config work as they are", { skip }, async () => {
  const key = stand.key("host-a");
  await stand.enrol(key, "host-a");
  const { env } = await machine("device-a", key, "");
  await using tunnel = new Child("sh", ["-c", `exec ${unitCommand("host-a")}`], { env });
  await stand.held("host-a");
  const { ssh } = await person("laptop-a");
  const reached = await ssh("host-a", "echo at $PLACE");
  assert.equal(reached.stdout.toString(), "at device\n", reached.stderr);
  // What is copied comes whole.
  const copied = await run("ssh", ["-l", userInfo().username, "host-a", "cat | wc -c"], {
    env: { PATH: `${stand.folder.at("laptop-a")}:/usr/bin:/bin` },
    stdin: { data: Buffer.alloc(3_000_000) },
  });
  assert.equal(copied.stdout.toString(), "3000000\n", copied.stderr);
  assert.equal(tunnel.running, true);
});

test("sockets without .sock, and in other folders, are the same name", { skip }, async () => {
  for (const [host, path] of [
    ["host-b", "/home/host/host-b"],
    ["host-c", "/run/tunnels/deep/host-c.sock"],
  ] as const) {
    const key = stand.key(host);
    await stand.enrol(key, host);
    const { env } = await machine(`device-${host}`, key, "");
    await using _ = new Child("sh", ["-c", `exec ${unitCommand(host, path)}`], { env });
    await stand.held(host);
    const { ssh } = await person(`laptop-${host}`);
    const reached = await ssh(host, "echo yes");
    assert.equal(reached.stdout.toString(), "yes\n", reached.stderr);
  }
});

test("a unit that is restarted takes its name back at once, with the dead connection still there", {
  skip,
}, async () => {
  const key = stand.key("host-d");
  await stand.enrol(key, "host-d");
  const { env } = await machine("device-d", key, "");
  const start = (): Child => new Child("sh", ["-c", `exec ${unitCommand("host-d")}`], { env });
  await using frozen = start();
  await stand.held("host-d");
  // It is there and answers nothing, as a machine that lost its power does.
  frozen.kill("SIGSTOP");
  await using _ = start();
  await stand.held("host-d", 2);
  const { ssh } = await person("laptop-d");
  assert.equal((await ssh("host-d", "echo yes")).stdout.toString(), "yes\n");
  frozen.kill("SIGCONT");
});

test("no file and no shell: neither for devices nor for people", { skip }, async () => {
  const key = stand.key("host-e");
  await stand.enrol(key, "host-e");
  const device = await machine("device-e", key, "");
  const shell = await run("ssh", ["host@SERVER", "id"], device);
  assert.doesNotMatch(shell.stdout.toString(), /uid=/);
  // A device is no person: it reaches nothing.
  const other = await run("ssh", ["-W", "host-a:22", "host@SERVER"], device);
  assert.notEqual(other.code, 0);
  const { env } = await machine("laptop-e", stand.ada, "");
  for (const words of [
    ["id"],
    ["nc -U /etc/passwd"],
    ["nc -U /home/host/../../etc/passwd"],
    ["nc -lU /home/host/x.sock"],
  ]) {
    const outcome = await run("ssh", ["ada@SERVER", ...words], { env });
    assert.notEqual(outcome.code, 0, words.join(" "));
    assert.doesNotMatch(outcome.stdout.toString(), /uid=|root:/);
  }
});

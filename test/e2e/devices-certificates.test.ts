/** A device CA: approved devices fetch certificates with stock ssh, and another gateway believes them. */
import assert from "node:assert/strict";
import { readFile, rm, writeFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { run, succeed } from "#test/support/child";
import { gateOf, startAgent } from "#test/support/device-agent";
import { deviceRule, type DeviceStand, startDeviceStand } from "#test/support/device-stand";
import { type Gateway, postern, startGateway } from "#test/support/gateway";
import { runSsh, spawnSsh } from "#test/support/ssh";
import { missing, programPath } from "#test/support/strangers";
import { type TempDir, tempDir } from "#test/support/temp-dir";
import type { KeyFiles } from "#test/support/test-keys";

const skip = missing("ssh", "sshd");
let folder: TempDir;
/** Approves devices, and gives certificates. */
let stand: DeviceStand;
/** Knows no device, but the authority. */
let other: Gateway;

before(async () => {
  if (skip !== false) return;
  folder = await tempDir();
  const ca = folder.at("device_ca");
  const made = await postern(["ca", "init", "-o", ca]);
  assert.equal(made.code, 0, made.stderr);
  const authority = (await readFile(`${ca}.pub`, "utf8")).trim();
  stand = await startDeviceStand({
    devices: { certificates: { ca, validSeconds: "12h" } },
    gateway: { knownPort: true },
  });
  other = await startGateway({
    config: {
      devices: { pending: false, certificateHolds: "always" },
      targets: [{ name: "fleet", devices: true }],
    },
    rules: [{ ...deviceRule, login: [{ kind: "device", authorities: [authority] }] }],
  });
});
after(async () => {
  await other?.[Symbol.asyncDispose]();
  await stand?.[Symbol.asyncDispose]();
  await folder?.[Symbol.asyncDispose]();
});

/** As a device types it: ssh device@GATE certificate > KEY-cert.pub */
async function fetched(key: KeyFiles): Promise<string> {
  const { code, stdout, stderr } = await runSsh(stand.gateway.target("device", key.path), ["certificate"]);
  assert.equal(code, 0, stderr);
  await writeFile(`${key.path}-cert.pub`, stdout);
  return `${key.path}-cert.pub`;
}

test("an approved device fetches a certificate, and ssh-keygen reads in it what was approved", {
  skip,
}, async () => {
  const key = stand.key("kiosk1");
  await stand.enrol(key, "kiosk1");
  const file = await fetched(key);
  const text = await succeed("ssh-keygen", ["-L", "-f", file]);
  assert.match(text, /Type: ssh-ed25519-cert-v01@openssh\.com user certificate/);
  assert.match(text, /Key ID: "device kiosk1 [a-z0-9]{12}"/);
  assert.match(text, /Principals: \n\s+kiosk1\n/);
  assert.match(text, /Critical Options: \(none\)/);
  assert.match(text, /Extensions: \n\s+permit-port-forwarding\n*$/);
  const [, from = "", to = ""] = /Valid: from (\S+) to (\S+)/.exec(text) ?? [];
  const seconds = (Date.parse(to) - Date.parse(from)) / 1000;
  assert.ok(seconds >= 12 * 3600 && seconds <= 12 * 3600 + 301, `${seconds}`);
  const log = await stand.office<{ event: string; detail?: string }[]>("log", "kiosk1");
  const serial = /Serial: (\d+)/.exec(text)?.[1] ?? "none";
  assert.ok(log.some(({ event, detail }) => event === "certified" && detail?.includes(serial) === true));
});

test("another gateway lets it in by that, under its own name alone, and never without it", {
  skip,
}, async () => {
  const key = stand.key("kiosk2");
  await stand.enrol(key, "kiosk2");
  const flags = (name: string): readonly string[] => ["-N", "-R", `${name}:22:127.0.0.1:${stand.sshd.port}`];
  const options = ["ExitOnForwardFailure=yes"];
  const target = other.target("device", key.path);
  const stranger1 = await runSsh(target, [], { flags: flags("kiosk2"), options });
  assert.equal(stranger1.code, 255, "without a certificate it is nobody there");
  const file = await fetched(key);
  const certified = [...options, `CertificateFile=${file}`];
  const wrong = await runSsh(target, [], { flags: flags("kiosk9"), options: certified });
  assert.equal(wrong.code, 255, "the name of another");
  {
    await using child = spawnSsh(target, [], { flags: flags("kiosk2"), options: certified });
    await other.waitForLog("its tunnel", () =>
      other.events("tunnel-held").some(({ device }) => device === "kiosk2"),
    );
    assert.equal(child.running, true);
  }
  // It is known there now; a certificate is asked for all the same (certificateHolds: always).
  await rm(file);
  const without = await runSsh(target, [], { flags: flags("kiosk2"), options });
  assert.equal(without.code, 255, without.stderr);
  await other.waitForLog("why", (line) => JSON.stringify(line).includes("shows no certificate that holds"));
});

test("who waits, who was denied, and who was revoked get none", { skip }, async () => {
  const waiting = stand.key("kiosk3");
  const early = await runSsh(stand.gateway.target("device", waiting.path), ["certificate"]);
  assert.notEqual(early.code, 0);
  assert.equal(early.stdout.toString(), "");
  assert.match(early.stderr, /no device yet/);
  const code = /Its code is (\S+);/.exec(early.stderr)?.[1] ?? assert.fail(early.stderr);
  // The word is not taken for the name that it wishes.
  assert.equal((await stand.office("show", code)).name, "");
  await stand.office("approve", code, "-n", "kiosk3");
  await fetched(waiting);
  await stand.office("revoke", "kiosk3");
  const late = await runSsh(stand.gateway.target("device", waiting.path), ["certificate"]);
  assert.equal(late.code, 255, late.stderr);
  assert.equal(late.stdout.toString(), "");
});

test("the units that are printed are whole, and hold the gateway's lines for known_hosts", {
  skip,
}, async () => {
  const key = stand.key("kiosk4");
  const { token } = await stand.office<{ token: string }>("token", "create", "-p", "22", "-p", "80");
  const joined = await runSsh(stand.gateway.target(`join+${token}`, key.path), ["kiosk4"]);
  const unit = joined.stdout.toString();
  assert.match(
    unit,
    /ExecStart=\/usr\/bin\/ssh -N -R kiosk4:22:localhost:22 -R kiosk4:80:localhost:80 .* device@GATE\n/,
  );
  for (const { publicLine } of stand.gateway.hostKeys)
    assert.ok(unit.includes(`# GATE ${publicLine.split(" ").slice(0, 2).join(" ")}\n`), unit);
  assert.match(unit, /ssh -p 22 device@GATE certificate > ~\/\.ssh\/id_ed25519-cert\.pub/);
  // The operator is shown the same.
  const asked = await runSsh(stand.gateway.target("device", stand.key("kiosk5").path), ["kiosk5"]);
  const code = /Its code is (\S+);/.exec(asked.stderr)?.[1] ?? assert.fail(asked.stderr);
  const { stdout } = await stand.ask("approve", code);
  const own = await runSsh(stand.gateway.target("device", stand.key("kiosk5").path), []);
  assert.equal(stdout.toString(), own.stdout.toString());
  const renewal = await runSsh(stand.gateway.target("device", key.path), ["renewal"]);
  assert.match(renewal.stdout.toString(), /\nRestart=always\nRestartSec=14400\n/);
  if (programPath("systemd-analyze") === undefined) return;
  for (const [name, text] of [
    ["tunnel", unit],
    ["certificate", renewal.stdout.toString()],
  ]) {
    const file = folder.at(`postern-${name}.service`);
    await writeFile(file, text ?? "");
    const verified = await run("systemd-analyze", ["verify", "--man=no", file]);
    assert.doesNotMatch(verified.stderr, new RegExp(`postern-${name}`), verified.stderr);
  }
});

test("the agent keeps its certificate beside its key, and is let in by it elsewhere", { skip }, async () => {
  const { token } = await stand.office<{ token: string }>("token", "create");
  const gates = [gateOf(stand.gateway, { token, certificate: true }), gateOf(other)];
  const forwards = [{ port: 22, to: `127.0.0.1:${stand.sshd.port}` }];
  await using agent = await startAgent({ name: "agent1", gates, forwards });
  const { serial } = await agent.event("certificate-fetched");
  await agent.event("tunnel-held", 2);
  // The agent has been told before the other gateway's log is read here.
  await other.waitForLog("the tunnel of agent1", () =>
    other.events("tunnel-held").some(({ device }) => device === "agent1"),
  );
  const file = agent.folder.at("state", "id_ed25519-cert.pub");
  const text = await succeed("ssh-keygen", ["-L", "-f", file]);
  assert.ok(text.includes(`Serial: ${String(serial)}`));
});

test("the agent fetches the next certificate while the last one holds, and no tunnel is cut for that", {
  skip,
}, async () => {
  await using brief = await startDeviceStand({
    devices: { certificates: { ca: folder.at("device_ca"), validSeconds: 60 } },
  });
  const { token } = await brief.office<{ token: string }>("token", "create");
  await using agent = await startAgent({
    name: "agent1",
    gates: [gateOf(brief.gateway, { token, certificate: true })],
    forwards: [{ port: 22, to: `127.0.0.1:${brief.sshd.port}` }],
  });
  const read = async (): Promise<{ serial: string; from: number; to: number }> => {
    const text = await succeed("ssh-keygen", ["-L", "-f", agent.folder.at("state", "id_ed25519-cert.pub")]);
    const [, serial = ""] = /Serial: (\d+)/.exec(text) ?? [];
    const [, from = "", to = ""] = /Valid: from (\S+) to (\S+)/.exec(text) ?? [];
    return { serial, from: Date.parse(from), to: Date.parse(to) };
  };
  assert.equal((await agent.event("certificate-fetched"))["nextSeconds"], 30);
  const first = await read();
  await agent.event("certificate-fetched", 2);
  const second = await read();
  assert.deepEqual(
    [first.serial, second.serial],
    agent.events("certificate-fetched").map(({ serial }) => String(serial)),
  );
  assert.notEqual(first.serial, second.serial);
  // Each holds from five minutes before it was made.
  assert.ok(second.from + 300_000 < first.to, `${second.from}, ${first.to}`);
  assert.ok(second.to > first.to);
  assert.equal(agent.events("tunnel-held").length, 1);
  assert.equal((await brief.jump("agent1", "echo yes")).stdout.toString(), "yes\n");
});

test("a gateway without a CA says that it gives none", { skip }, async () => {
  await using plain = await startDeviceStand();
  const key = plain.key("kiosk1");
  await plain.enrol(key, "kiosk1");
  for (const word of ["certificate", "renewal"]) {
    const { code, stderr, stdout } = await runSsh(plain.gateway.target("device", key.path), [word]);
    assert.deepEqual([code, stdout.toString()], [1, ""]);
    assert.match(stderr, /gives no certificates/);
  }
});

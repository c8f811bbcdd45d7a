/** `postern agent`: enrols by token or approval, holds its tunnels at several gateways, and comes back to each. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { after, before, test } from "node:test";
import { Child } from "#test/support/child";
import { gateOf, startAgent } from "#test/support/device-agent";
import { type DeviceStand, startDeviceStand } from "#test/support/device-stand";
import { startGateway } from "#test/support/gateway";
import { missing, programPath, stranger } from "#test/support/strangers";
import { tempDir } from "#test/support/temp-dir";
import { until } from "#test/support/waiting";

const skip = missing("ssh", "sshd");
const withoutNotify = programPath("systemd-notify") === undefined ? "systemd is not on this machine" : false;
let stand: DeviceStand;

before(async () => {
  if (skip === false) stand = await startDeviceStand({ gateway: { knownPort: true } });
});
after(async () => {
  await stand?.[Symbol.asyncDispose]();
});

const toSshd = (): object[] => [{ port: 22, to: `127.0.0.1:${stand.sshd.port}` }];
const tokenOf = async (at: DeviceStand = stand): Promise<string> =>
  (await at.office<{ token: string }>("token", "create")).token;

test("joins by token with a key that it makes, and ends at SIGTERM with 0", { skip }, async () => {
  const gates = [gateOf(stand.gateway, { token: await tokenOf() })];
  await using agent = await startAgent({ name: "agent1", gates, forwards: toSshd() });
  await agent.event("tunnel-held");
  assert.equal((await agent.event("device-approved"))["name"], "agent1");
  const reached = await stand.jump("agent1", "echo at $PLACE");
  assert.equal(reached.stdout.toString(), "at device\n", reached.stderr);
  const key = agent.folder.at("state", "id_ed25519");
  assert.equal((await stat(key)).mode & 0o777, 0o600);
  assert.match(await readFile(`${key}.pub`, "utf8"), /^ssh-ed25519 /);
  agent.child.kill("SIGTERM");
  const { code, stderr } = await agent.child.outcome();
  assert.equal(code, 0, stderr);
  assert.equal((await stand.office("show", "agent1")).name, "agent1");
});

test("without a token it shows its code, waits, and is in once an operator has said yes", {
  skip,
}, async () => {
  await using agent = await startAgent({
    name: "agent2",
    gates: [gateOf(stand.gateway)],
    forwards: toSshd(),
  });
  const { code } = await agent.event("device-waits-for-approval");
  assert.match(String(code), /^[A-Z0-9]{4}-[A-Z0-9]{4}$/);
  // It asks again, and says so only once.
  await agent.event("device-still-waits", 2);
  assert.equal(agent.events("device-waits-for-approval").length, 1);
  await stand.office("approve", String(code));
  await agent.event("tunnel-held");
  const reached = await stand.jump("agent2", "echo yes");
  assert.equal(reached.stdout.toString(), "yes\n", reached.stderr);
});

test("revoked: it says so in words, and goes on asking", { skip }, async () => {
  const gates = [gateOf(stand.gateway, { token: await tokenOf() })];
  await using agent = await startAgent({ name: "agent3", gates, forwards: toSshd() });
  await agent.event("tunnel-held");
  await stand.office("revoke", "agent3");
  assert.match(String((await agent.event("gate-away"))["reason"]), /approval was withdrawn/);
  const denied = await agent.event("gate-away", 2);
  assert.match(String(denied["reason"]), /does not let device in.*may have been denied or revoked/s);
  await agent.event("gate-still-away", 2);
  assert.equal(agent.child.running, true);
  assert.equal(agent.events("gate-away").length, 2);
});

test("a token that is used up, and a name that is another's, are told in words", { skip }, async () => {
  const token = await tokenOf();
  await stand.enrol(stand.key("first"), "agent9");
  const taken = { name: "agent9", gates: [gateOf(stand.gateway, { token })], forwards: toSshd() };
  await using agent = await startAgent(taken);
  assert.match(
    String((await agent.event("gate-away"))["reason"]),
    /This cannot be "agent9": agent9 is another device's/,
  );
  // With another name the same token is still good, and then it is not.
  await agent.rewrite({ ...taken, name: "agent10" });
  agent.child.kill("SIGHUP");
  await agent.event("tunnel-held");
  await using late = await startAgent({ ...taken, name: "agent11" });
  const { reason } = await late.event("gate-away");
  assert.match(String(reason), /The join token may be unknown, used up or expired/);
  assert.ok(!`${agent.child.stderr}${late.child.stderr}`.includes(token));
});

test("SIGHUP: another file is taken, a wrong one changes nothing, and tunnels that stay are not cut", {
  skip,
}, async () => {
  const gates = [gateOf(stand.gateway, { token: await tokenOf() })];
  const all = { name: "agent4", gates, forwards: toSshd() };
  await using agent = await startAgent(all);
  await agent.event("tunnel-held");
  await agent.rewrite({ ...all, forwards: [{ port: 22, to: "nowhere" }] });
  agent.child.kill("SIGHUP");
  const failed = await agent.event("agent-reload-failed");
  assert.match(String(failed["reasons"]), /agent\.yaml:\d+:\d+: forwards\[0\]\.to: /);
  await agent.rewrite({ ...all, service: { port: 80 } });
  agent.child.kill("SIGHUP");
  // The port was not approved.
  assert.match(
    String((await agent.event("tunnel-refused"))["reason"]),
    /no port 80: its operator has to approve/,
  );
  await agent.rewrite({ ...all, service: { port: 80, disks: [] } });
  agent.child.kill("SIGHUP");
  await agent.event("agent-reloaded", 2);
  assert.equal(agent.events("tunnel-held").length, 2);
  assert.equal((await stand.jump("agent4", "echo yes")).stdout.toString(), "yes\n");
});

test("a device that its operator renamed holds its tunnels under the new name", { skip }, async () => {
  const gates = [gateOf(stand.gateway, { token: await tokenOf() })];
  await using agent = await startAgent({ name: "agent5", gates, forwards: toSshd() });
  await agent.event("tunnel-held");
  await stand.office("rename", "agent5", "agent5b");
  const held = await agent.event("tunnel-held", 2);
  assert.equal(held["name"], "agent5b");
  assert.equal((await stand.jump("agent5b", "echo yes")).stdout.toString(), "yes\n");
});

test("a gateway with another key is never told a token, and a file that is wrong ends it with 78", {
  skip,
}, async () => {
  const token = await tokenOf();
  const { host, port } = stand.gateway;
  const gate = { address: `${host}:${port}`, fingerprints: [`SHA256:${"A".repeat(43)}`], token };
  await using agent = await startAgent({ name: "agent6", gates: [gate], forwards: toSshd() });
  assert.match(String((await agent.event("gate-away"))["reason"]), /host key .* is not known/);
  await agent.event("gate-still-away");
  assert.ok(!agent.child.stderr.includes(token));
  await using wrong = await startAgent({ name: "agent6", gates: [{ address: "gate" }], forwards: toSshd() });
  const { code, stderr } = await wrong.child.outcome();
  assert.equal(code, 78, stderr);
  assert.match(stderr, /gates\[0\]: needs knownHosts or fingerprints/);
});

test("two gateways at once; one that is killed and comes back is found again, and the other is not touched", {
  skip,
}, async () => {
  await using one = await startDeviceStand({ gateway: { knownPort: true } });
  const { gateway } = one;
  const gates = [
    gateOf(gateway, { token: await tokenOf(one) }),
    gateOf(stand.gateway, { token: await tokenOf() }),
  ];
  await using agent = await startAgent({ name: "agent7", gates, forwards: toSshd() });
  await agent.event("tunnel-held", 2);
  gateway.signal("SIGKILL");
  await gateway.child.outcome();
  const place = `${gateway.host}:${gateway.port}`;
  assert.equal((await agent.event("gate-away"))["gate"], place);
  const text = await readFile(gateway.configFile, "utf8");
  await using _ = await startGateway({ yaml: text, knownPort: true, unready: true });
  assert.equal((await agent.event("tunnel-held", 3))["gate"], place);
  assert.equal((await one.office("show", "agent7")).online, true);
  const reached = await stand.jump("agent7", "echo stayed");
  assert.equal(reached.stdout.toString(), "stayed\n", reached.stderr);
  assert.equal(agent.events("tunnel-held").length, 3);
});

test("systemd is told when it works, how it stands, that it lives, and that it ends", {
  skip: skip !== false ? skip : missing("socat") || withoutNotify,
}, async () => {
  await using folder = await tempDir();
  // Node cannot receive datagrams of UNIX sockets.
  const socket = folder.at("notify");
  await using listener = new Child(stranger("socat"), ["-u", `UNIX-RECV:${socket}`, "STDOUT"]);
  await until("the socket", () => existsSync(socket));
  await using agent = await startAgent(
    { name: "agent8", gates: [gateOf(stand.gateway)], forwards: toSshd() },
    { env: { NOTIFY_SOCKET: socket, WATCHDOG_USEC: "200000" } },
  );
  await listener.waitForStdout(/READY=1/);
  await listener.waitForStdout(/STATUS=agent8: .* waits for approval of [A-Z0-9]{4}-[A-Z0-9]{4}/);
  await listener.waitForStdout(/WATCHDOG=1/);
  agent.child.kill("SIGTERM");
  await listener.waitForStdout(/STOPPING=1/);
  assert.equal((await agent.child.outcome()).code, 0);
});

/** Devices behind NAT: names, enrolment and reverse tunnels, with nothing but stock ssh on the device. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { type DeviceJson, type DeviceStand, startDeviceStand } from "#test/support/device-stand";
import { runSsh } from "#test/support/ssh";
import { missing } from "#test/support/strangers";
import { until } from "#test/support/waiting";

const skip = missing("ssh", "sshd");
let stand: DeviceStand;

before(async () => {
  if (skip === false) stand = await startDeviceStand({ devices: { ports: [22, 80, 2201] } });
});
after(async () => {
  await stand?.[Symbol.asyncDispose]();
});

const forward = (name: string, port = 22): string[] => ["-R", `${name}:${port}:127.0.0.1:${stand.sshd.port}`];

test("a key that nobody knows waits with a code; approved, its next try works", { skip }, async () => {
  const key = stand.key("pending");
  await using first = stand.hold(key, forward("kiosk1"));
  const outcome = await first.outcome();
  assert.notEqual(outcome.code, 0);
  const code = /postern device approve ([0-9A-Z]{4}-[0-9A-Z]{4})/.exec(outcome.stderr)?.[1] ?? "";
  assert.match(outcome.stderr, /not approved yet/);
  const waiting = (await stand.office<DeviceJson[]>("ls", "--state", "pending")).find(
    (one) => one.code === code,
  );
  assert.equal(waiting?.name, "kiosk1");
  // Until somebody decides, it may try as often as it likes, and its code stays.
  await using second = stand.hold(key, forward("kiosk1"));
  assert.match((await second.outcome()).stderr, new RegExp(code));
  const approved = await stand.office("approve", code);
  assert.deepEqual([approved.state, approved.name, approved.code], ["approved", "kiosk1", undefined]);
  await using third = stand.hold(key, forward("kiosk1"));
  await stand.held("kiosk1");
  const reached = await stand.jump("kiosk1", "echo at $PLACE");
  assert.equal(reached.stdout.toString(), "at device\n", reached.stderr);
  assert.equal(third.running, true);
});

test("ssh join+TOKEN@gate NAME makes it a device, and prints its unit and the gateway's key", {
  skip,
}, async () => {
  const key = stand.key("token");
  const { token } = await stand.office<{ token: string }>("token", "create", "-t", "hall1");
  const { code, stdout, stderr } = await runSsh(stand.gateway.target(`join+${token}`, key.path), ["kiosk2"]);
  assert.equal(code, 0, stderr);
  assert.match(stdout.toString(), /ExecStart=.* -R kiosk2:22:localhost:22 .*device@GATE/);
  assert.match(stdout.toString(), /ssh-ed25519 AAAA/);
  assert.deepEqual((await stand.office("show", "kiosk2")).tags, ["hall1"]);
  // Used up.
  const again = await runSsh(stand.gateway.target(`join+${token}`, stand.key("thief").path), ["kiosk2b"]);
  assert.notEqual(again.code, 0);
  await using _ = stand.hold(key, forward("kiosk2"));
  await stand.held("kiosk2");
  assert.equal((await stand.jump("kiosk2", "echo yes")).stdout.toString(), "yes\n");
});

test("ssh -N -R by join+TOKEN@gate joins with all that it asks for in one go", { skip }, async () => {
  const key = stand.key("at-once");
  const { token } = await stand.office<{ token: string }>("token", "create", "-p", "22", "-p", "80");
  await using child = stand.hold(key, [...forward("kiosk3"), ...forward("kiosk3", 80)], `join+${token}`);
  await stand.held("kiosk3", 2);
  assert.equal((await stand.jump("kiosk3", "echo yes")).stdout.toString(), "yes\n");
  assert.equal((await stand.jump("kiosk3", "echo yes", { flags: ["-p", "80"] })).stdout.toString(), "yes\n");
  const { online, tunnels } = await stand.office("show", "kiosk3");
  assert.deepEqual([online, tunnels.map(({ port }) => port)], [true, [22, 80]]);
  assert.equal(child.running, true);
});

test("bare ports: the first that was approved, the next, and one of its own", { skip }, async () => {
  const key = stand.key("bare");
  await stand.enrol(key, "kiosk4", "-p", "22", "-p", "80", "-p", "2201");
  const { port: own } = stand.sshd;
  // Of two that are wholly the same ssh asks for one.
  const asked = [`0:127.0.0.1:${own}`, `0:localhost:${own}`, `2201:127.0.0.1:${own}`];
  await using child = stand.hold(
    key,
    asked.flatMap((each) => ["-R", each]),
  );
  await stand.held("kiosk4", 3);
  await child.waitForStderr(/Allocated port 22 for remote forward to/);
  await child.waitForStderr(/Allocated port 80 for remote forward to/);
  for (const port of ["22", "80", "2201"]) {
    const reached = await stand.jump("kiosk4", "echo yes", { flags: ["-p", port] });
    assert.equal(reached.stdout.toString(), "yes\n", `${port}: ${reached.stderr}`);
  }
});

test("a bare port with the name in the user name, also for one that is new", { skip }, async () => {
  const key = stand.key("in-user");
  const to = `127.0.0.1:${stand.sshd.port}`;
  await using first = stand.hold(key, ["-R", `0:${to}`], "device+kiosk13");
  const code = /approve ([0-9A-Z-]+)/.exec((await first.outcome()).stderr)?.[1] ?? "";
  assert.equal((await stand.office("approve", code)).name, "kiosk13");
  await using _ = stand.hold(key, ["-R", `0:${to}`], "device+kiosk13");
  await stand.held("kiosk13");
  await using wrong = stand.hold(key, ["-R", `0:${to}`], "device+kiosk14");
  assert.notEqual((await wrong.outcome()).code, 0);
  // A token is no name.
  const { token } = await stand.office<{ token: string }>("token", "create");
  await using nameless = stand.hold(stand.key("nameless"), ["-R", `0:${to}`], `join+${token}`);
  assert.match((await nameless.outcome()).stderr, /it has not said its name/);
});

test("a port that was not approved, and a name that is another's, are refused", { skip }, async () => {
  const key = stand.key("greedy");
  await stand.enrol(key, "kiosk5");
  for (const flags of [
    forward("kiosk5", 8022),
    forward("kiosk4"),
    ["-R", `8022:127.0.0.1:${stand.sshd.port}`],
    ["-R", `/home/host/kiosk4.sock:127.0.0.1:${stand.sshd.port}`],
    ["-R", `/home/host/../kiosk4:127.0.0.1:${stand.sshd.port}`],
  ]) {
    await using child = stand.hold(key, flags);
    const outcome = await child.outcome();
    assert.notEqual(outcome.code, 0, flags.join(" "));
    assert.match(outcome.stderr, /remote port forwarding failed|remote forward|forwarding failed/);
  }
});

test("ssh -O cancel and -O forward, on a live connection", { skip }, async () => {
  const key = stand.key("control");
  await stand.enrol(key, "kiosk6", "-p", "22", "-p", "80");
  const socket = stand.folder.at("cm");
  await using _ = stand.hold(key, forward("kiosk6"), "device", {
    options: ["ControlMaster=yes", `ControlPath=${socket}`],
  });
  await stand.held("kiosk6");
  const order = async (...words: readonly string[]): Promise<string> => {
    const flags = ["-S", socket, "-O", ...words];
    return (await runSsh(stand.gateway.target("device", key.path), [], { flags })).stderr;
  };
  await order("forward", ...forward("kiosk6", 80));
  await stand.held("kiosk6", 2);
  await order("cancel", ...forward("kiosk6"));
  await stand.gateway.waitForLog(
    "end",
    ({ event, device }) => event === "tunnel-ended" && device === "kiosk6",
  );
  const { tunnels } = await stand.office("show", "kiosk6");
  assert.deepEqual(
    tunnels.map(({ port }) => port),
    [80],
  );
  const gone = await stand.jump("kiosk6", "true");
  assert.match(gone.stderr, /kiosk6 is connected, but does not offer port 22 now: it offers 80/);
});

test("a device that is away is told so in words, to -J, to ls and in the office", { skip }, async () => {
  const key = stand.key("away");
  await stand.enrol(key, "kiosk8", "-t", "hall2");
  // A name is known a moment after it was given.
  const never = await until("kiosk8 is known", async () => {
    const { stderr } = await stand.jump("kiosk8", "true");
    return stderr.includes("no such target here") ? undefined : stderr;
  });
  assert.match(never, /kiosk8 is not connected now; it has never been/);
  const list = await runSsh(stand.person, ["ls"]);
  assert.match(list.stdout.toString(), /kiosk8 +offline +#hall2\n/);
  const shown = (await stand.office<DeviceJson[]>("ls", "-t", "hall2"))[0];
  assert.deepEqual([shown?.name, shown?.online], ["kiosk8", false]);
  const unknown = await stand.jump("kiosk99", "true");
  assert.match(unknown.stderr, /There is no such target here, or it is not for you/);
});

test("the same key takes over at once; another key cannot", { skip }, async () => {
  const key = stand.key("twice");
  await stand.enrol(key, "kiosk9");
  await using first = stand.hold(key, forward("kiosk9"));
  await stand.held("kiosk9");
  await using second = stand.hold(key, forward("kiosk9"));
  const { stderr } = await first.outcome();
  assert.match(stderr, /the same device has connected anew/);
  await stand.held("kiosk9", 2);
  assert.equal((await stand.jump("kiosk9", "echo yes")).stdout.toString(), "yes\n");
  // Approved, but as somebody else.
  await using thief = stand.hold(stand.key("greedy"), forward("kiosk9"));
  assert.notEqual((await thief.outcome()).code, 0);
  assert.equal(second.running, true);
  await second[Symbol.asyncDispose]();
  // Also while it is away.
  await using again = stand.hold(stand.key("greedy"), forward("kiosk9"));
  assert.notEqual((await again.outcome()).code, 0);
});

test("revoking cuts the live tunnel and shuts the key out; renaming and other ports cut as well", {
  skip,
}, async () => {
  const key = stand.key("revoked");
  await stand.enrol(key, "kiosk10");
  await using held = stand.hold(key, forward("kiosk10"));
  await stand.held("kiosk10");
  const revoked = await stand.office("revoke", "kiosk10");
  assert.match((await held.outcome()).stderr, /approval was withdrawn/);
  await using back = stand.hold(key, forward("kiosk10"));
  assert.match((await back.outcome()).stderr, /Permission denied/);
  // The name is free, and the old key may come back as another.
  await stand.enrol(stand.key("heir"), "kiosk10");
  await stand.office("approve", revoked.id, "-n", "kiosk11");
  await using renamed = stand.hold(key, forward("kiosk11"));
  await stand.held("kiosk11");
  await stand.office("rename", "kiosk11", "kiosk12");
  assert.match((await renamed.outcome()).stderr, /renamed to kiosk12/);
  await using narrowed = stand.hold(key, forward("kiosk12"));
  await stand.held("kiosk12");
  await stand.office("ports", "kiosk12", "80");
  assert.match((await narrowed.outcome()).stderr, /may offer less than before/);
  await stand.office("rm", "kiosk12");
  await using stranger = stand.hold(key, forward("kiosk12"));
  assert.match((await stranger.outcome()).stderr, /not approved yet/);
});

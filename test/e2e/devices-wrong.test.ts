/** What a fleet's own makers warn of, each shown closed; and devices that lie, flood, hang or are copied. */
import assert from "node:assert/strict";
import { readFile, stat } from "node:fs/promises";
import { after, before, test } from "node:test";
import { type DeviceJson, type DeviceStand, deviceRule, startDeviceStand } from "#test/support/device-stand";
import { startListener } from "#test/support/echo-server";
import { postern } from "#test/support/gateway";
import { runSsh } from "#test/support/ssh";
import { missing } from "#test/support/strangers";
import { certify, makeKey } from "#test/support/test-keys";
import { until } from "#test/support/waiting";

const skip = missing("ssh", "sshd");
let stand: DeviceStand;

before(async () => {
  if (skip === false)
    stand = await startDeviceStand({
      devices: { maxPending: 3, ports: [22, 80] },
      targets: [{ name: "fleet", devices: true, connectTimeoutSeconds: 5 }],
    });
});
after(async () => {
  await stand?.[Symbol.asyncDispose]();
});

const forward = (name: string, port = 22): string[] => ["-R", `${name}:${port}:127.0.0.1:${stand.sshd.port}`];

test("hole 1: a device that registers itself is nobody until the authority says so", { skip }, async () => {
  const key = stand.key("self-made");
  for (const flags of [forward("kiosk1"), ["-R", `/home/host/kiosk1.sock:127.0.0.1:${stand.sshd.port}`]]) {
    await using child = stand.hold(key, flags);
    const { code, stderr } = await child.outcome();
    assert.notEqual(code, 0);
    assert.match(stderr, /not approved yet/);
  }
  assert.match((await stand.jump("kiosk1", "true")).stderr, /no such target/);
  const { code } = await stand.ask("approve", "kiosk1");
  assert.equal(code, 1, "a name that anybody can claim approves nobody");
});

test("hole 2: only who has the key is the device; a token is used once", { skip }, async () => {
  const key = stand.key("real");
  const { token } = await stand.office<{ token: string }>("token", "create", "-n", "till*");
  const as = async (name: string, which: string) =>
    await runSsh(stand.gateway.target(`join+${token}`, stand.key(which).path), [name]);
  assert.notEqual((await as("kiosk2", "real")).code, 0, "the token is for tills");
  assert.equal((await as("till2", "real")).code, 0);
  const thief = await as("till3", "thief");
  assert.notEqual(thief.code, 0);
  assert.match(
    (await runSsh(stand.gateway.target(`join+${"a".repeat(26)}`, stand.key("thief").path), ["x"])).stderr,
    /denied/,
  );
  // Knowing the public half is not having the key.
  const known = (await stand.office("show", "till2")) as DeviceJson & { fingerprint: string };
  assert.equal(known.fingerprint, key.fingerprint);
  assert.ok(!JSON.stringify(stand.gateway.logs()).includes(token), "a token is in the log");
  assert.ok(
    !(await readFile(stand.folder.at("audit.jsonl"), "utf8")).includes(token),
    "a token is in the audit",
  );
});

test("hole 3: no device takes another's place, by name, port or path", { skip }, async () => {
  const [one, other] = [stand.key("one"), stand.key("other")];
  await stand.enrol(one, "kiosk3", "-p", "22", "-p", "2201");
  await stand.enrol(other, "kiosk4", "-p", "22");
  await using _ = stand.hold(one, forward("kiosk3"));
  await stand.held("kiosk3");
  const to = `127.0.0.1:${stand.sshd.port}`;
  for (const said of [
    `kiosk3:22:${to}`,
    `KIOSK3:22:${to}`,
    `2201:${to}`,
    `kiosk4:2201:${to}`,
    `kiosk4:80:${to}`,
    `/home/host/kiosk3.sock:${to}`,
    `/home/host/kiosk4/../kiosk3.sock:${to}`,
    `/kiosk3:${to}`,
  ]) {
    await using child = stand.hold(other, ["-R", said]);
    assert.notEqual((await child.outcome()).code, 0, said);
  }
  assert.equal((await stand.jump("kiosk3", "echo yes")).stdout.toString(), "yes\n");
  const refused = stand.gateway.events("tunnel-refused").map(({ reason }) => String(reason));
  assert.ok(refused.includes("its name is kiosk4"), refused.join());
  assert.ok(refused.includes("port 2201 was not approved"), refused.join());
});

test("hostile paths and names are refused, and no file appears", { skip }, async () => {
  const key = stand.key("hostile");
  await stand.enrol(key, "kiosk5");
  const to = `127.0.0.1:${stand.sshd.port}`;
  const folder = stand.folder.at("escape");
  for (const path of [
    `${folder}.sock`,
    `${folder}/..`,
    "/..",
    "/.sock",
    "/etc/passwd",
    `/${"x".repeat(100)}`,
  ]) {
    await using child = stand.hold(key, ["-R", `${path}:${to}`]);
    assert.notEqual((await child.outcome()).code, 0, path);
  }
  await using child = stand.hold(key, ["-R", `${folder}/kiosk5.sock:${to}`]);
  await stand.held("kiosk5");
  await assert.rejects(stat(folder));
  assert.equal(child.running, true);
});

test("who asks for what it may not have, again and again, is dropped", { skip }, async () => {
  const key = stand.key("flood");
  await stand.enrol(key, "kiosk6");
  const wrong = Array.from({ length: 40 }, (_, n) => forward(`other${n}`)).flat();
  await using child = stand.hold(key, [...forward("kiosk6"), ...wrong], "device", {
    options: ["ExitOnForwardFailure=no"],
  });
  assert.match((await child.outcome()).stderr, /too many refused requests/);
  await stand.gateway.waitForLog(
    "end",
    ({ event, device, reason }) =>
      event === "tunnel-ended" && device === "kiosk6" && reason === "too many refused requests",
  );
  const refused = stand.gateway.events("tunnel-refused").filter(({ device }) => device === "kiosk6");
  assert.equal(refused.length, 32);
});

test("strangers cannot fill the list of those that wait", { skip }, async () => {
  const waiting = async (): Promise<number> =>
    (await stand.office<DeviceJson[]>("ls", "--state", "pending")).length;
  for (const n of [1, 2, 3, 4]) {
    await using child = stand.hold(stand.key(`stranger${n}`), forward(`s${n}`));
    await child.outcome();
  }
  assert.equal(await waiting(), 3);
  const log = stand.gateway.events("auth-denied").map(({ reason }) => reason);
  assert.ok(log.includes("too many devices wait for an operator"), log.join());
});

test("a device that hangs is told of in words, in time, and disturbs nobody else", { skip }, async () => {
  const [hung, fine] = [stand.key("hung"), stand.key("fine")];
  await stand.enrol(hung, "kiosk7");
  await stand.enrol(fine, "kiosk8");
  await using child = stand.hold(hung, forward("kiosk7"));
  await using _ = stand.hold(fine, forward("kiosk8"));
  await stand.held("kiosk7");
  await stand.held("kiosk8");
  child.kill("SIGSTOP");
  const [stuck, works] = await Promise.all([stand.jump("kiosk7", "true"), stand.jump("kiosk8", "echo yes")]);
  child.kill("SIGCONT");
  assert.match(stuck.stderr, /stdio forwarding failed/);
  assert.equal(works.stdout.toString(), "yes\n");
  assert.equal((await stand.jump("kiosk7", "echo back")).stdout.toString(), "back\n");
});

test("what a device offers and does not have is told in words", { skip }, async () => {
  const key = stand.key("empty");
  await stand.enrol(key, "kiosk9");
  await using closed = await startListener(() => {});
  const { port } = closed;
  await closed[Symbol.asyncDispose]();
  await using _ = stand.hold(key, ["-R", `kiosk9:22:127.0.0.1:${port}`]);
  await stand.held("kiosk9");
  assert.match((await stand.jump("kiosk9", "true")).stderr, /The device does not answer on that port/);
});

test("one key on two machines: each takes over from the other, and it is told", { skip }, async () => {
  const key = stand.key("cloned");
  await stand.enrol(key, "kiosk10");
  await using one = stand.hold(key, forward("kiosk10"));
  await stand.held("kiosk10");
  await using two = stand.hold(key, forward("kiosk10"), "device", { options: ["BindAddress=127.0.0.9"] });
  await stand.held("kiosk10", 2);
  await one.outcome();
  const {
    level,
    from,
    before: earlier,
  } = await stand.gateway.waitForLog("told", ({ event }) => event === "device-taken-over");
  assert.equal(level, "warn");
  assert.match(`${String(earlier)} ${String(from)}`, /^127\.0\.0\.1:\d+ 127\.0\.0\.9:\d+$/);
  assert.equal(two.running, true);
});

test("the audit and the status tell of all this", { skip }, async () => {
  const audit = (await readFile(stand.folder.at("audit.jsonl"), "utf8"))
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  const outcomes = (event: string): unknown[] =>
    audit.filter((line) => line["event"] === event).map(({ outcome }) => outcome);
  for (const outcome of ["waits", "joined", "refused"])
    assert.ok(outcomes("device").includes(outcome), outcome);
  for (const outcome of ["held", "refused", "ended"])
    assert.ok(outcomes("tunnel").includes(outcome), outcome);
  const key = stand.key("counted");
  await stand.enrol(key, "kiosk11");
  await using _ = stand.hold(key, forward("kiosk11"));
  await stand.held("kiosk11");
  await until("it is counted", async () => {
    const { stdout } = await postern(["status", "-c", stand.gateway.configFile]);
    return /^devices: [1-9]\d* online, [1-9]\d* tunnels$/m.test(stdout.toString());
  });
});

test("certificates of a device CA: the principal is the name, and no other", { skip }, async () => {
  const folder = stand.folder;
  const ca = makeKey(folder.at("device_ca"), "ed25519");
  await using certified = await startDeviceStand({
    devices: { pending: false, certificateTags: ["certified"] },
    rules: () => [
      {
        ...deviceRule,
        name: "certified",
        match: { user: "cert" },
        login: [{ kind: "device", authorities: [ca.publicLine] }],
      },
    ],
  });
  const hold = (key: string, name: string, principals: readonly string[], signer = ca) => {
    const own = certified.key(key);
    certify(signer, own, { principals });
    return certified.hold(own, ["-R", `${name}:22:127.0.0.1:${certified.sshd.port}`], "cert", {
      options: [`CertificateFile=${own.path}-cert.pub`],
    });
  };
  await using good = hold("c1", "kiosk1", ["kiosk1"]);
  await certified.held("kiosk1");
  const { cameBy, tags } = await certified.office("show", "kiosk1");
  assert.deepEqual([cameBy, tags, good.running], ["certificate", ["certified"], true]);
  await using other = hold("c2", "kiosk2", ["kiosk3"]);
  assert.match((await other.outcome()).stderr, /the certificate is not for kiosk2/);
  await using taken = hold("c3", "kiosk1", ["kiosk1"]);
  assert.match((await taken.outcome()).stderr, /kiosk1 is another device's/);
  await using foreign = hold("c4", "kiosk4", ["kiosk4"], makeKey(folder.at("other_ca"), "ed25519"));
  assert.match((await foreign.outcome()).stderr, /Permission denied/);
  // Without one, nobody waits here.
  await using plain = certified.hold(certified.key("c5"), ["-R", "kiosk5:22:127.0.0.1:22"]);
  assert.match((await plain.outcome()).stderr, /Permission denied/);
});

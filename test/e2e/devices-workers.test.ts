/** Devices with several workers: whichever holds a tunnel, all reach it; a name is one key's in all of them. */
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { readdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { Child } from "#test/support/child";
import { type DeviceJson, type DeviceStand, startDeviceStand } from "#test/support/device-stand";
import { startListener } from "#test/support/echo-server";
import { postern } from "#test/support/gateway";
import { runSsh } from "#test/support/ssh";
import { missing } from "#test/support/strangers";
import { until } from "#test/support/waiting";

const skip = missing("ssh", "sshd");
const names = ["kiosk1", "kiosk2", "kiosk3", "kiosk4"] as const;
let stand: DeviceStand;
let held: AsyncDisposableStack;

before(async () => {
  if (skip !== false) return;
  stand = await startDeviceStand({
    config: { workers: 3, limits: { startups: { start: 1000, full: 1000 }, maxStartupsPerSource: 1000 } },
  });
  held = new AsyncDisposableStack();
  for (const name of names) {
    await stand.enrol(stand.key(name), name, "-p", "22", "-p", "80");
    held.use(hold(name));
    await stand.held(name);
  }
});
after(async () => {
  await held?.[Symbol.asyncDispose]();
  await stand?.[Symbol.asyncDispose]();
});

function hold(name: string, to: number = stand.sshd.port): Child {
  return stand.hold(stand.key(name), ["-R", `${name}:22:127.0.0.1:${to}`]);
}

/** In which workers its port 22 was held, one after the other. */
function workersOf(name: string): unknown[] {
  return stand.gateway
    .events("tunnel-held")
    .flatMap(({ device, port, worker }) => (device === name && port === 22 ? [worker] : []));
}

test("tunnels lie in several workers, and each is reached by whoever asks in any of them", {
  skip,
}, async () => {
  const holders = new Set(names.flatMap((name) => workersOf(name)));
  assert.ok(holders.size > 1, `all in worker ${[...holders].join()}`);
  const askers = new Set<unknown>();
  for (let round = 0; round < 3; round++)
    await Promise.all(
      names.map(async (name) => {
        const { stdout, stderr } = await stand.jump(name, "echo $PLACE");
        assert.equal(stdout.toString(), "device\n", stderr);
      }),
    );
  for (const { worker } of stand.gateway.events("target-opened")) askers.add(worker);
  assert.ok(askers.size > 1, `all asked in worker ${[...askers].join()}`);
  const listed = await stand.office<DeviceJson[]>("ls", "--online");
  assert.deepEqual(
    listed.map(({ name, tunnels }) => [name, tunnels.length]),
    names.map((name) => [name, 1]),
  );
  const { stdout } = await postern(["status", "--json", "-c", stand.gateway.configFile]);
  assert.deepEqual((JSON.parse(stdout.toString()) as { devices: object }).devices, { online: 4, tunnels: 4 });
});

test("megabytes pass both ways, and the end of one direction is not that of the other", {
  skip,
}, async () => {
  const data = randomBytes(6_000_000);
  const file = stand.folder.at("data");
  await writeFile(file, data);
  const wanted = createHash("sha256").update(data).digest("hex");
  await Promise.all(
    names.map(async (name) => {
      const { stdout, stderr } = await stand.jump(name, "tee /dev/stderr | sha256sum", { stdin: { data } });
      assert.equal(stdout.toString().split(" ")[0], wanted);
      assert.equal(stderr.length > 0, true);
    }),
  );
  // What answers only after all has been said.
  await using server = await startListener((socket) => {
    let length = 0;
    socket.on("data", (chunk: Buffer) => (length += chunk.length));
    socket.on("end", () => socket.end(`${length}\n`));
  });
  for (const name of names) {
    await using _ = stand.hold(stand.key(name), ["-R", `${name}:80:127.0.0.1:${server.port}`], "device");
    await until(`port 80 of ${name}`, async () =>
      (await stand.office("show", name)).tunnels.some(({ port }) => port === 80),
    );
    const { stdout, stderr } = await runSsh(stand.person, [], {
      flags: ["-W", `${name}:80`],
      stdin: { data: Buffer.alloc(100_000) },
    });
    assert.equal(stdout.toString(), "100000\n", stderr);
  }
});

test("a key that comes anew has its name at once, in whichever worker; what it held before is dropped", {
  skip,
}, async () => {
  const [name] = names;
  const before = workersOf(name).length;
  const children: Child[] = [];
  for (let at = 0; at < 6; at++) {
    children.push(held.use(hold(name)));
    await stand.held(name, before + at + 1);
    await until("one tunnel", async () => (await stand.office("show", name)).tunnels.length === 1);
    assert.equal((await stand.jump(name, "echo yes")).stdout.toString(), "yes\n");
  }
  for (const child of children.slice(0, -1)) await child.outcome();
  assert.equal(children.at(-1)?.running, true);
  const holders = new Set(workersOf(name).slice(before));
  assert.ok(holders.size > 1, `all in worker ${[...holders].join()}`);
  // Nobody else's key gets it, anywhere.
  for (let at = 0; at < 3; at++) {
    await using other = stand.hold(stand.key(names[1]), ["-R", `${name}:22:localhost:22`]);
    assert.notEqual((await other.outcome()).code, 0);
  }
});

test("revoked by the office: the tunnel is cut, in whichever worker it is", { skip }, async () => {
  for (const name of ["gone1", "gone2", "gone3"]) {
    await stand.enrol(stand.key(name), name);
    await using child = hold(name);
    await stand.held(name);
    await stand.office("revoke", name);
    assert.equal((await child.outcome()).code, 255);
    assert.match((await stand.jump(name, "true")).stderr, /stdio forwarding failed|no such|not for you/i);
  }
});

test("what the device refuses, and what it does not offer, is told in the same words as with one worker", {
  skip,
}, async () => {
  await using closed = await startListener(() => {});
  const { port } = closed;
  await closed[Symbol.asyncDispose]();
  await stand.enrol(stand.key("empty"), "empty");
  await using _ = hold("empty", port);
  await stand.held("empty");
  for (let at = 0; at < 3; at++)
    assert.match((await stand.jump("empty", "true")).stderr, /The device does not answer on that port/);
  const wrong = await runSsh(stand.person, [], { flags: ["-W", "kiosk2:81"] });
  assert.match(wrong.stderr, /kiosk2 is connected, but does not offer port 81/);
});

test("a worker that is killed: its devices are offline everywhere, come back, and the others' stay", {
  skip,
}, async () => {
  const status = async (): Promise<{ workers: number[] }> => {
    const { stdout } = await postern(["status", "--json", "-c", stand.gateway.configFile]);
    return JSON.parse(stdout.toString()) as { workers: number[] };
  };
  const lines = stand.gateway.events("worker-ready");
  const holder = workersOf("kiosk3").at(-1);
  const pid = lines.findLast(({ worker }) => worker === holder)?.["pid"];
  assert.equal(typeof pid, "number");
  const others = names.filter((name) => name !== "kiosk3" && workersOf(name).at(-1) !== holder);
  assert.ok(others.length > 0);
  process.kill(Number(pid), "SIGKILL");
  await until("kiosk3 offline", async () => !(await stand.office("show", "kiosk3")).online);
  for (const name of others) assert.equal((await stand.jump(name, "echo yes")).stdout.toString(), "yes\n");
  const count = workersOf("kiosk3").length;
  await using _ = hold("kiosk3");
  await stand.held("kiosk3", count + 1);
  await until("a new worker", async () => (await status()).workers.length === 3);
  for (let at = 0; at < 4; at++) {
    assert.equal((await stand.jump("kiosk3", "echo yes")).stdout.toString(), "yes\n");
    for (const name of others) assert.equal((await stand.jump(name, "echo yes")).stdout.toString(), "yes\n");
  }
});

test("the sockets between workers are for the gateway's own account", { skip }, async () => {
  const state = join(stand.gateway.folder.path, "state");
  const sockets = (await readdir(state)).filter((name) => /^tunnels-\d+\.sock$/.test(name));
  assert.equal(sockets.length, 3);
  for (const name of sockets) assert.equal((await stat(join(state, name))).mode & 0o777, 0o600);
});

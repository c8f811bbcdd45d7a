/** Devices under hard conditions: two at once that share, clocks that jump, floods, tunnels that open and stay silent. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { test } from "node:test";
import { type DeviceJson, startDeviceStand } from "#test/support/device-stand";
import { startListener } from "#test/support/echo-server";
import { memoryBelow } from "#test/support/gateway";
import { runSsh, spawnSsh } from "#test/support/ssh";
import { missing } from "#test/support/strangers";
import { startSshd } from "#test/support/sshd";
import { tempDir } from "#test/support/temp-dir";
import { makeKey } from "#test/support/test-keys";
import { until } from "#test/support/waiting";

const skip = missing("ssh", "sshd");
const limits = { startups: { start: 1000, full: 1000 }, maxStartupsPerSource: 1000 };

test("sameKey: pool: two connections of one key share the work, and one goes on alone", {
  skip,
}, async () => {
  await using stand = await startDeviceStand({ devices: { sameKey: "pool" } });
  const hostKey = makeKey(stand.folder.at("second_host_key"), "ed25519");
  await using second = await startSshd({
    authorizedKeys: [stand.ada.publicLine],
    hostKeyFiles: [hostKey],
    config: ["SetEnv PLACE=second"],
  });
  const key = stand.key("a");
  await stand.enrol(key, "kiosk1");
  await using one = stand.hold(key, ["-R", `kiosk1:22:127.0.0.1:${stand.sshd.port}`]);
  await stand.held("kiosk1");
  await using two = stand.hold(key, ["-R", `kiosk1:22:127.0.0.1:${second.port}`]);
  await stand.held("kiosk1", 2);
  const places = async (): Promise<string[]> => {
    const said: string[] = [];
    for (let at = 0; at < 4; at++) {
      const options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null"];
      const { stdout, stderr } = await stand.jump("kiosk1", "echo $PLACE", { options });
      said.push(stdout.toString().trim() || stderr);
    }
    return said.sort();
  };
  assert.deepEqual(await places(), ["device", "device", "second", "second"]);
  assert.equal(one.running && two.running, true);
  one.kill("SIGKILL");
  await until("one is left", async () => (await stand.office("show", "kiosk1")).tunnels.length === 1);
  assert.deepEqual(await places(), ["second", "second", "second", "second"]);
});

const faketime = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu"]
  .map((folder) => `${folder}/faketime/libfaketime.so.1`)
  .find((file) => existsSync(file));

test("the clock jumps a day, there and back: tunnels and sessions stay, and what has its time is judged by it", {
  skip: skip || missing("faketime"),
}, async () => {
  assert.ok(faketime !== undefined);
  await using folder = await tempDir();
  const clock = folder.at("clock");
  const jump = async (offset: string): Promise<void> => await writeFile(clock, `${offset}\n`);
  await jump("+0");
  const env = {
    LD_PRELOAD: faketime,
    FAKETIME_TIMESTAMP_FILE: clock,
    FAKETIME_NO_CACHE: "1",
    FAKETIME_DONT_FAKE_MONOTONIC: "1",
  };
  await using stand = await startDeviceStand({
    devices: { heartbeat: { intervalSeconds: 1, maxMissed: 2 } },
    gateway: { env },
  });
  const key = stand.key("a");
  await stand.enrol(key, "kiosk1");
  const { token } = await stand.office<{ token: string }>("token", "create", "-e", "1h");
  await using held = stand.hold(key, ["-R", `kiosk1:22:127.0.0.1:${stand.sshd.port}`]);
  await stand.held("kiosk1");
  for (const offset of ["+1d", "-1d", "+0"]) {
    await jump(offset);
    // Two heartbeats, by their answers: a session opened and closed takes longer than both.
    assert.equal((await stand.jump("kiosk1", "sleep 3; echo yes")).stdout.toString(), "yes\n", offset);
    assert.equal(held.running, true, offset);
    assert.equal((await stand.office("show", "kiosk1")).online, true);
  }
  await jump("+1d");
  const late = await runSsh(stand.gateway.target(`join+${token}`, stand.key("b").path), ["kiosk2"]);
  assert.notEqual(late.code, 0, "a token whose hour is over");
  await jump("+0");
  const timely = await runSsh(stand.gateway.target(`join+${token}`, stand.key("b").path), ["kiosk2"]);
  assert.equal(timely.code, 0, timely.stderr);
});

test("a device that floods fills no memory, and keeps no other waiting", { skip }, async () => {
  await using stand = await startDeviceStand({ config: { limits } });
  const flood = Buffer.alloc(64 * 1024, 7);
  await using source = await startListener((socket) => {
    socket.on("error", () => {});
    const pour = (): void => {
      while (!socket.destroyed && socket.write(flood));
    };
    socket.on("drain", pour);
    pour();
  });
  const [bad, good] = [stand.key("bad"), stand.key("good")];
  await stand.enrol(bad, "kiosk1");
  await stand.enrol(good, "kiosk2");
  await using _ = stand.hold(bad, ["-R", `kiosk1:22:127.0.0.1:${source.port}`]);
  await using __ = stand.hold(good, ["-R", `kiosk2:22:127.0.0.1:${stand.sshd.port}`]);
  await stand.held("kiosk1");
  await stand.held("kiosk2");
  const before = await stand.gateway.rssBytes();
  const readers = Array.from({ length: 8 }, () =>
    spawnSsh(stand.person, [], { flags: ["-W", "kiosk1:22"], stalled: true, stdin: "open" }),
  );
  await using stack = new AsyncDisposableStack();
  for (const reader of readers) stack.use(reader);
  await until("all are let through", () =>
    Promise.resolve(stand.gateway.events("target-opened").length >= readers.length),
  );
  assert.equal(
    (await stand.jump("kiosk2", "head -c 20000000 /dev/zero | wc -c")).stdout.toString().trim(),
    "20000000",
  );
  // Each of the eight has a window of 2 MiB at most, in either direction of the way.
  await memoryBelow(stand.gateway, before + 150 * 1024 * 1024);
});

test("a tunnel that opens and never answers is the client's to wait for, or to leave; nothing stays behind", {
  skip,
}, async () => {
  await using stand = await startDeviceStand();
  await using silent = await startListener((socket) => void socket.on("error", () => {}));
  const key = stand.key("a");
  await stand.enrol(key, "kiosk1");
  await stand.enrol(stand.key("b"), "kiosk2");
  await using device = stand.hold(key, ["-R", `kiosk1:22:127.0.0.1:${silent.port}`]);
  await using other = stand.hold(stand.key("b"), ["-R", `kiosk2:22:127.0.0.1:${stand.sshd.port}`]);
  await stand.held("kiosk1");
  await stand.held("kiosk2");
  const stuck = stand.jump("kiosk1", "true", { options: ["ConnectTimeout=3"] });
  assert.equal((await stand.jump("kiosk2", "echo yes")).stdout.toString(), "yes\n");
  assert.notEqual((await stuck).code, 0);
  assert.equal(device.running && other.running, true);
  await stand.gateway.waitForLog(
    "end",
    ({ event }) => event === "target-closed" || event === "session-ended",
  );
});

test("10,000 names of one key that waits are one line of the list", { skip }, async () => {
  await using stand = await startDeviceStand({ config: { limits } });
  const key = stand.key("many");
  const flags = Array.from({ length: 1000 }, (_, n) => ["-R", `other${n}:22:localhost:22`]).flat();
  // The first is refused, and with that the connection: the others are not looked at.
  for (let at = 0; at < 10; at++) {
    const { code } = await runSsh(stand.gateway.target("device", key.path), [], { flags: ["-N", ...flags] });
    assert.equal(code, 255);
  }
  const waiting = await stand.office<DeviceJson[]>("ls");
  assert.deepEqual(
    waiting.map(({ name, state }) => [name, state]),
    [["other0", "pending"]],
  );
  assert.equal(stand.gateway.events("tunnel-refused").length, 10);
  assert.equal((await stand.office<object[]>("log", waiting[0]?.code ?? "")).length, 1);
});

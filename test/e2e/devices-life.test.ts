/** Devices that die, gateways that die, lines that fall silent: who is offline is known within seconds, and everybody comes back. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { after, before, test } from "node:test";
import { Child } from "#test/support/child";
import { type DeviceStand, startDeviceStand } from "#test/support/device-stand";
import { startListener } from "#test/support/echo-server";
import { startGateway } from "#test/support/gateway";
import { runSsh, sshCommand } from "#test/support/ssh";
import { missing, stranger } from "#test/support/strangers";
import { until } from "#test/support/waiting";

const skip = missing("ssh", "sshd");
let stand: DeviceStand;

before(async () => {
  if (skip === false)
    stand = await startDeviceStand({
      devices: { heartbeat: { intervalSeconds: 1, maxMissed: 1 } },
      gateway: { knownPort: true },
    });
});
after(async () => {
  await stand?.[Symbol.asyncDispose]();
});

const forward = (name: string): string[] => ["-R", `${name}:22:127.0.0.1:${stand.sshd.port}`];
const offline = async (name: string): Promise<void> => {
  await until(`${name} is offline`, async () => !(await stand.office("show", name)).online);
};

test("a device that is killed is offline, and a session in it ends", { skip }, async () => {
  const key = stand.key("killed");
  await stand.enrol(key, "kiosk1");
  await using device = stand.hold(key, forward("kiosk1"));
  await stand.held("kiosk1");
  const session = stand.jump("kiosk1", "echo in; sleep 600", { options: ["ServerAliveInterval=0"] });
  await stand.gateway.waitForLog("session", ({ event }) => event === "target-opened");
  device.kill("SIGKILL");
  const { code } = await session;
  assert.equal(code, 255);
  await offline("kiosk1");
  const { stderr } = await stand.jump("kiosk1", "true");
  assert.match(stderr, /kiosk1 is not connected now/);
  const log = await stand.office<{ event: string }[]>("log", "kiosk1");
  assert.deepEqual(
    log.map(({ event }) => event),
    ["offline", "online", "joined"],
  );
});

test("a device whose packets are lost is offline by the heartbeat", { skip }, async () => {
  const sockets: Socket[] = [];
  await using line = await startListener((near) => {
    const far = connect(stand.gateway.port, "127.0.0.1");
    sockets.push(near, far);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      from.on("data", (chunk: Buffer) => to.write(chunk));
      from.on("error", () => to.destroy());
      from.on("close", () => to.destroy());
    }
  });
  const key = stand.key("lost");
  await stand.enrol(key, "kiosk2");
  await using _ = stand.hold(key, forward("kiosk2"), "device", {
    options: [`ProxyCommand=nc 127.0.0.1 ${line.port}`, "ServerAliveInterval=0"],
  });
  await stand.held("kiosk2");
  // Everything that is sent from now on is lost, and nobody is told.
  for (const socket of sockets) socket.pause();
  await stand.gateway.waitForLog(
    "end",
    ({ event, device, reason }) =>
      event === "tunnel-ended" && device === "kiosk2" && reason === "its connection ended",
  );
  await offline("kiosk2");
});

test("a device that stays silent but answers the heartbeat stays", { skip }, async () => {
  const key = stand.key("quiet");
  await stand.enrol(key, "kiosk3");
  await using device = stand.hold(key, forward("kiosk3"), "device", { options: ["ServerAliveInterval=0"] });
  await stand.held("kiosk3");
  const { stderr } = device;
  // Three heartbeats, by another device's that does not answer them.
  await using frozen = stand.hold(stand.key("killed"), forward("kiosk1"));
  await stand.held("kiosk1", 2);
  frozen.kill("SIGSTOP");
  await offline("kiosk1");
  frozen.kill("SIGKILL");
  assert.equal((await stand.jump("kiosk3", "echo yes")).stdout.toString(), "yes\n", stderr);
  assert.equal(device.running, true);
});

test("a gateway that is killed forgets nothing that it was told, and all come back", { skip }, async () => {
  const key = stand.key("returning");
  await stand.enrol(key, "kiosk4", "-t", "hall1");
  const waits = stand.key("waiting");
  await using asking = stand.hold(waits, forward("kiosk5"));
  const code = /approve ([0-9A-Z-]+)/.exec((await asking.outcome()).stderr)?.[1] ?? "";
  const command = [
    stranger("ssh"),
    ...sshCommand(stand.gateway.target("device", key.path), [], {
      flags: ["-N", ...forward("kiosk4")],
      options: ["ExitOnForwardFailure=yes"],
    }),
  ];
  // What systemd does, only sooner.
  await using _ = new Child("sh", ["-c", 'while :; do "$@"; sleep 0.2; done', "sh", ...command]);
  await stand.held("kiosk4");
  const { gateway } = stand;
  gateway.signal("SIGKILL");
  await gateway.child.outcome();
  // The office works without the gateway; who is there is not known then.
  assert.equal((await stand.office("show", "kiosk4")).online, null);
  assert.equal((await stand.office("approve", code)).name, "kiosk5");
  const text = await readFile(gateway.configFile, "utf8");
  await using again = await startGateway({ yaml: text, knownPort: true, unready: true });
  await again.waitForLog("tunnel", ({ event, device }) => event === "tunnel-held" && device === "kiosk4");
  assert.equal((await stand.jump("kiosk4", "echo yes")).stdout.toString(), "yes\n");
  await using approved = stand.hold(waits, forward("kiosk5"));
  await again.waitForLog("tunnel", ({ event, device }) => event === "tunnel-held" && device === "kiosk5");
  assert.equal(approved.running, true);
  const shown = await stand.office("show", "kiosk4");
  assert.deepEqual([shown.online, shown.tags], [true, ["hall1"]]);
  assert.equal((await runSsh(stand.person, ["ls"])).code, 0);
});

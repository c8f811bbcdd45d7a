/** A device in a network of its own whose packets are lost, both ways and with no word of it: half-open TCP on both sides. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { Child } from "#test/support/child";
import { startDeviceStand } from "#test/support/device-stand";
import { sshCommand } from "#test/support/ssh";
import { missing, stranger } from "#test/support/strangers";
import { needsRoot } from "#test/support/test-user";
import { until } from "#test/support/waiting";

interface Island extends Disposable {
  /** The gateway's address, as the device has it. */
  readonly gate: string;
  readonly name: string;
  /** Every packet is lost, or none; neither end is told. */
  line(state: "up" | "down"): void;
}

/** This machine, a router, and the device behind it. Undefined: this machine has no network namespaces. */
function island(): Island | undefined {
  const id = `pt${process.pid % 100_000}`;
  const [router, device] = [`${id}r`, `${id}d`];
  // Of its own as well: two runs at once would take each other's way.
  const net = `10.${192 + ((process.pid >> 8) % 64)}.${process.pid % 256}`;
  const ip = (...args: readonly string[]): boolean => spawnSync(stranger("ip"), args).status === 0;
  const pair = (near: string, far: string, nearSpace: string | undefined, farSpace: string): boolean =>
    ip(
      ...(nearSpace === undefined ? [] : ["-n", nearSpace]),
      "link",
      "add",
      near,
      "type",
      "veth",
      "peer",
      "name",
      far,
      "netns",
      farSpace,
    );
  const end = (space: string | undefined, name: string, address: string): boolean => {
    const at = space === undefined ? [] : ["-n", space];
    return ip(...at, "addr", "add", `${address}/30`, "dev", name) && ip(...at, "link", "set", name, "up");
  };
  const forward = (word: "0" | "1"): boolean =>
    ip("netns", "exec", router, "sh", "-c", `echo ${word} > /proc/sys/net/ipv4/ip_forward`);
  const remove = (): void => {
    ip("netns", "del", device);
    ip("netns", "del", router);
  };
  const made =
    ip("netns", "add", router) &&
    ip("netns", "add", device) &&
    pair(`${id}a`, `${id}b`, undefined, router) &&
    pair(`${id}c`, `${id}d`, router, device) &&
    end(undefined, `${id}a`, `${net}.1`) &&
    end(router, `${id}b`, `${net}.2`) &&
    end(router, `${id}c`, `${net}.5`) &&
    end(device, `${id}d`, `${net}.6`) &&
    ip("-n", device, "route", "add", "default", "via", `${net}.5`) &&
    ip("route", "add", `${net}.4/30`, "via", `${net}.2`) &&
    forward("1");
  if (!made) {
    remove();
    return undefined;
  }
  return {
    gate: `${net}.1`,
    name: device,
    // A host that is no router drops what is not for it, and says nothing.
    line: (state) => assert.ok(forward(state === "up" ? "1" : "0"), state),
    [Symbol.dispose]: remove,
  };
}

test("packets are lost both ways: offline within seconds, told in words, and the same loop brings it back", {
  skip: missing("ssh", "sshd", "ip") || needsRoot,
}, async (context) => {
  using net = island();
  if (net === undefined) {
    context.skip("no network namespaces on this machine");
    return;
  }
  await using stand = await startDeviceStand({
    devices: { heartbeat: { intervalSeconds: 1, maxMissed: 2 } },
    config: { listen: ["0.0.0.0:0"] },
  });
  const key = stand.key("a");
  await stand.enrol(key, "kiosk1");
  // What autossh and systemd do: again and again, with ssh's own sign of life.
  const command = sshCommand({ ...stand.gateway.target("device", key.path), host: net.gate }, [], {
    flags: ["-N", "-R", "kiosk1:22:127.0.0.1:22"],
    options: [
      "ExitOnForwardFailure=yes",
      "ServerAliveInterval=1",
      "ServerAliveCountMax=2",
      "ConnectTimeout=2",
      "StrictHostKeyChecking=no",
      "UserKnownHostsFile=/dev/null",
    ],
  });
  const loop = 'while :; do "$@"; sleep 0.2; done';
  const words = ["netns", "exec", net.name, "sh", "-c", loop, "sh", stranger("ssh"), ...command];
  await using _ = new Child(stranger("ip"), words);
  await stand.held("kiosk1");
  const online = async (): Promise<boolean> => (await stand.office("show", "kiosk1")).online === true;
  assert.equal(await online(), true);
  net.line("down");
  await until("offline", async () => !(await online()));
  const { stderr } = await stand.jump("kiosk1", "true");
  assert.match(stderr, /kiosk1 is not connected now; it was last seen at/);
  net.line("up");
  await stand.held("kiosk1", 2);
  await until("online", online);
});

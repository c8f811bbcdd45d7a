/**
 * What a machine that has logged in as a device may send: nothing makes it another, nothing breaks, and what it may not have it never
 * holds.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  encodeAddressAndPort,
  encodeChannelOpen,
  encodeGlobalRequest,
  encodeStreamlocalForward,
} from "#ssh/messages";
import { startDeviceServer } from "#test/support/device-server";
import { settled } from "#test/support/raw-peer";
import { deviceName } from "#tunnel";

const names = fc.oneof(
  fc.constantFrom(
    "kiosk7",
    "KIOSK7",
    "kiosk8",
    "",
    "localhost",
    "*",
    "::",
    "../kiosk8",
    "kiosk8\0",
    "kiosk8.",
  ),
  fc.string({ unit: "binary", maxLength: 80 }),
);
const ports = fc.oneof(fc.constantFrom(0, 22, 80, 2201, 65_535, 65_536, 0xffff_ffff), fc.nat());
const paths = fc.oneof(
  fc.constantFrom(
    "/home/host/kiosk7.sock",
    "/kiosk8.sock",
    "/x/../kiosk8",
    "kiosk8",
    "/",
    "//",
    "/.sock",
    "/localhost.sock",
    "/kiosk7/",
    "/kiosk7.sock.sock",
    "/kiosk8.sock\0/kiosk7.sock",
  ),
  fc.array(names, { maxLength: 4 }).map((parts) => `/${parts.join("/")}`),
);
const place = fc
  .record({ address: names, port: ports })
  .map(({ address, port }) => encodeAddressAndPort({ address, port }));
const requests = fc.oneof(
  fc.tuple(fc.constantFrom("tcpip-forward", "cancel-tcpip-forward"), place),
  fc.tuple(
    fc.constantFrom("streamlocal-forward@openssh.com", "cancel-streamlocal-forward@openssh.com"),
    paths.map((path) => encodeStreamlocalForward(Buffer.from(path))),
  ),
  fc.tuple(
    fc.constantFrom("tcpip-forward", "streamlocal-forward@openssh.com", "hostkeys-00@openssh.com", ""),
    fc.uint8Array({ maxLength: 60 }),
  ),
);
const payloads = fc.oneof(
  {
    weight: 6,
    arbitrary: fc
      .tuple(requests, fc.boolean())
      .map(([[type, data], wantReply]) => encodeGlobalRequest({ type, wantReply, data })),
  },
  {
    weight: 1,
    arbitrary: fc
      .tuple(
        fc.constantFrom("session", "direct-tcpip", "forwarded-tcpip", "x"),
        fc.uint8Array({ maxLength: 40 }),
      )
      .map(([type, data]) => encodeChannelOpen({ type, channel: 1, window: 1000, maxPacket: 1000, data })),
  },
  { weight: 1, arbitrary: fc.uint8Array({ minLength: 1, maxLength: 60 }) },
);

test("a device holds nothing but what it was approved for, whatever it sends", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(payloads, { maxLength: 40 }), async (sent) => {
      const stand = startDeviceServer();
      await stand.device("a", "kiosk7", [22, 2201]);
      await stand.device("b", "kiosk8", [22, 80]);
      const { end, ended } = await stand.come("a");
      end.attach({ packet: () => {}, ready: () => true, drain: () => {}, closed: () => {} });
      for (const payload of sent) end.send(payload);
      await settled();
      for (const { name, port } of stand.tunnels.list()) {
        assert.equal(name, "kiosk7");
        assert.ok([22, 2201].includes(port), `${port}`);
      }
      end.disconnect(11, "");
      await ended;
      assert.deepEqual(stand.tunnels.list(), []);
    }),
  );
});

test("a newcomer that says anything is at most a device that waits", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(payloads, { maxLength: 10 }), async (sent) => {
      const stand = startDeviceServer();
      const { end } = await stand.come("new");
      end.attach({ packet: () => {}, ready: () => true, drain: () => {}, closed: () => {} });
      for (const payload of sent) end.send(payload);
      await settled();
      assert.deepEqual(stand.tunnels.list(), []);
      const known = await stand.store.list({ limit: 10 });
      assert.deepEqual(
        known.map(({ state }) => state),
        ["pending"],
      );
      const [{ name } = { name: "" }] = known;
      assert.ok(name === "" || deviceName(name) === name, JSON.stringify(name));
    }),
  );
});

test("a device's name is one, or there is none", () => {
  fc.assert(
    fc.property(names, (said) => {
      const name = deviceName(said);
      if (name === undefined) return;
      assert.match(name, /^[a-z0-9][a-z0-9._-]{0,62}$/);
      assert.equal(deviceName(name), name);
    }),
  );
});

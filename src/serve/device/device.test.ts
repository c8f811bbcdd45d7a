import assert from "node:assert/strict";
import { test } from "node:test";
import type { Channel, ChannelOffer } from "#ssh/connection";
import { encodeAddressAndPort, encodeStreamlocalForward } from "#ssh/messages";
import { startDeviceServer } from "#test/support/device-server";
import { settled } from "#test/support/raw-peer";
import { day } from "#test/support/devices";
import { maxRefused, maxTunnels } from "./device.ts";

const origin = { host: "192.0.2.1", port: 4711 };
const forward = "tcpip-forward";
const at = (address: string, port: number): Uint8Array => encodeAddressAndPort({ address, port });

test("what is held is opened at the device, as it asked for it, and given back at the end", async () => {
  const stand = startDeviceServer();
  await stand.device("a", "kiosk7", [22, 80]);
  const device = await stand.come("a");
  const offers: ChannelOffer[] = [];
  const mux = device.client({
    channels: new Map([
      [
        "forwarded-tcpip",
        (offer: ChannelOffer) => {
          offers.push(offer);
          offer.accept();
        },
      ],
    ]),
  });
  assert.equal((await mux.request(forward, at("kiosk7", 22))).success, true);
  const any = await mux.request(forward, at("", 0));
  assert.deepEqual([any.success, Buffer.from(any.data).readUInt32BE(0)], [true, 80]);
  const stream = await stand.tunnels.open("kiosk7", 22, origin, new AbortController().signal);
  assert.equal(offers.length, 1);
  stream.destroy();
  mux.disconnect();
  await settled();
  assert.deepEqual(stand.tunnels.list(), []);
  const told = stand.events.flatMap((event) =>
    event.event === "tunnel" ? [[event.outcome, event.port]] : [],
  );
  assert.deepEqual(told, [
    ["held", 22],
    ["held", 80],
    ["ended", 22],
    ["ended", 80],
  ]);
});

test("a stream that nobody waits for any more is closed when the device opens it after all", async () => {
  const stand = startDeviceServer();
  await stand.device("a", "kiosk7");
  const device = await stand.come("a");
  const opened: Channel[] = [];
  let accept: (() => void) | undefined;
  const mux = device.client({
    channels: new Map([
      ["forwarded-tcpip", (offer: ChannelOffer) => (accept = () => void opened.push(offer.accept()))],
    ]),
  });
  await mux.request(forward, at("kiosk7", 22));
  const given = new AbortController();
  const opening = stand.tunnels.open("kiosk7", 22, origin, given.signal);
  await settled();
  given.abort();
  accept?.();
  await assert.rejects(opening, { code: "UPSTREAM_TUNNEL_REFUSED" });
  await settled();
  // Closed by the gateway as soon as it was there.
  assert.equal(opened.length, 1);
  assert.equal(mux.channelCount, 0);
});

test("a token that holds once serves all that one connection asks for at once", async () => {
  const stand = startDeviceServer();
  const plan = { uses: 1, lifeMs: day, tags: [], ports: [22, 80], web: "off", names: "*" } as const;
  const { token } = await stand.office.makeToken(plan);
  const device = await stand.come("a", { token });
  const mux = device.client();
  const answers = await Promise.all([
    mux.request(forward, at("kiosk7", 22)),
    mux.request(forward, at("kiosk7", 80)),
  ]);
  assert.deepEqual(
    answers.map(({ success }) => success),
    [true, true],
  );
});

test("what was revoked after the login holds nothing, and what ends meanwhile neither", async () => {
  const stand = startDeviceServer();
  await stand.device("a", "kiosk7");
  const first = (await stand.come("a")).client();
  await stand.office.revoke("kiosk7", { by: "test" });
  assert.equal((await first.request(forward, at("kiosk7", 22))).success, false);
  await stand.office.approve("kiosk7", {}, { by: "test" });
  const second = (await stand.come("a")).client();
  void second.request(forward, at("kiosk7", 22));
  second.disconnect();
  await settled();
  assert.deepEqual(stand.tunnels.list(), []);
});

test("one connection holds so many tunnels and no more, whatever it calls them", async () => {
  const stand = startDeviceServer();
  await stand.device("a", "kiosk7");
  const mux = (await stand.come("a")).client();
  const path = (n: number): Uint8Array => encodeStreamlocalForward(Buffer.from(`/run/${n}/kiosk7.sock`));
  for (let n = 0; n < maxTunnels; n++)
    assert.equal((await mux.request("streamlocal-forward@openssh.com", path(n))).success, true);
  assert.equal((await mux.request("streamlocal-forward@openssh.com", path(maxTunnels))).success, false);
  // What it has it may ask for again, and what it gives back it may have anew.
  assert.equal((await mux.request("streamlocal-forward@openssh.com", path(0))).success, true);
  assert.equal((await mux.request("cancel-streamlocal-forward@openssh.com", path(1))).success, true);
  assert.equal((await mux.request("streamlocal-forward@openssh.com", path(maxTunnels))).success, true);
});

test("who asks in vain too often is dropped, and not answered any more", async () => {
  const stand = startDeviceServer();
  await stand.device("a", "kiosk7");
  const mux = (await stand.come("a")).client();
  const answers = await Promise.all(
    Array.from({ length: 2 * maxRefused }, (_, n) => mux.request(forward, at(`other${n}`, 22))),
  );
  assert.ok(answers.every(({ success }) => !success));
  await mux.ended;
  assert.equal(stand.events.filter(({ event }) => event === "tunnel").length, maxRefused);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { deviceOfHost, plainHost, siteOf } from "./host.ts";
import { type WebConfig, webSchema } from "./schema.ts";

test("the device is what stands before the domain", () => {
  assert.equal(deviceOfHost("kiosk7.devices.example", "devices.example"), "kiosk7");
  assert.equal(deviceOfHost("a.b.devices.example", "devices.example"), "a.b");
  for (const host of [
    "devices.example",
    ".devices.example",
    "xdevices.example",
    "kiosk7.devices.example.org",
  ])
    assert.equal(deviceOfHost(host, "devices.example"), undefined, host);
});

test("a host without its port, in lower case", () => {
  assert.equal(plainHost("Kiosk_7.Devices.Example:443"), "kiosk_7.devices.example");
  assert.equal(plainHost("a:"), "a");
  for (const said of ["", ":1", "a b", "a:1:2", "a:123456", "[::1]", "a/b", "a@b", "ä", "x".repeat(254)])
    assert.equal(plainHost(said), undefined, said);
});

function config(more: object): WebConfig {
  return webSchema.parse({ domain: "Devices.Example", ...more });
}

test("where a device's page is on the device: the first exception that names it counts", () => {
  const plan = config({
    port: 8000,
    except: [
      { devices: ["Kiosk7"], port: 81 },
      { devices: ["tag:old", "kiosk8"], host: "localhost:80" },
      { devices: ["kiosk8"], port: 82 },
    ],
  });
  assert.equal(plan.domain, "devices.example");
  assert.deepEqual(siteOf(plan, { name: "kiosk7", tags: ["old"] }), { port: 81, host: "keep", tls: false });
  assert.deepEqual(siteOf(plan, { name: "kiosk8", tags: [] }), {
    port: 8000,
    host: "localhost:80",
    tls: false,
  });
  assert.deepEqual(siteOf(plan, { name: "kiosk9", tags: ["old"] }), {
    port: 8000,
    host: "localhost:80",
    tls: false,
  });
  assert.deepEqual(siteOf(plan, { name: "kiosk9", tags: [] }), { port: 8000, host: "keep", tls: false });
  for (const odd of [
    { domain: ".x" },
    { domain: "a..b" },
    { host: "a\r\nb" },
    { host: "http://x" },
    { port: 0 },
  ])
    assert.throws(() => config(odd));
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { Admission, type AdmissionLimits, type Refusal, type Ticket } from "./admission.ts";

const wide: AdmissionLimits = {
  startups: { start: 1000, ratePercent: 30, full: 1000 },
  maxConnections: 1000,
  maxConnectionsPerSource: 1000,
  maxStartupsPerSource: 1000,
  sourceNetwork: { ipv4Bits: 32, ipv6Bits: 64 },
};

const from = (ip: string): { ip: string; text: string } => ({ ip, text: ip });

function enter(admission: Admission, ip: string): Ticket {
  const ticket = admission.admit(from(ip));
  assert.ok(typeof ticket === "object");
  return ticket;
}

test("places are limited, and given back once", () => {
  const admission = new Admission({ ...wide, maxConnections: 2 });
  const first = enter(admission, "192.0.2.1");
  enter(admission, "192.0.2.2");
  assert.equal(admission.admit(from("192.0.2.3")), "maxConnections");
  first[Symbol.dispose]();
  first[Symbol.dispose]();
  assert.equal(admission.connections, 1);
  enter(admission, "192.0.2.3");
  assert.equal(admission.admit(from("192.0.2.4")), "maxConnections");
});

test("a source is a network, and a UNIX socket is none", () => {
  const admission = new Admission({ ...wide, maxConnectionsPerSource: 1 });
  const first = enter(admission, "2001:db8::1");
  assert.equal(admission.admit(from("2001:db8::2")), "maxConnectionsPerSource");
  enter(admission, "2001:db8:0:1::1");
  enter(admission, "192.0.2.1");
  enter(admission, "192.0.2.2");
  first[Symbol.dispose]();
  enter(admission, "2001:db8::2");
  for (let n = 0; n < 5; n++) assert.equal(typeof admission.admit({ text: "unix" }), "object");
});

test("who has logged in is no startup any more", () => {
  const admission = new Admission({ ...wide, maxStartupsPerSource: 1 });
  const first = enter(admission, "192.0.2.1");
  assert.equal(admission.admit(from("192.0.2.1")), "maxStartupsPerSource");
  first.authenticated();
  first.authenticated();
  assert.equal(admission.startups, 0);
  const second = enter(admission, "192.0.2.1");
  first[Symbol.dispose]();
  second[Symbol.dispose]();
  assert.deepEqual([admission.startups, admission.connections], [0, 0]);
});

test("startups are dropped at random from start on, more and more up to full", () => {
  // At 10 of 10:30:20 three in ten are dropped, at 15 65 in 100, at 20 all.
  const cases: [number, number, Refusal | "in"][] = [
    [9, 0, "in"],
    [10, 0.299, "startups"],
    [10, 0.301, "in"],
    [15, 0.649, "startups"],
    [15, 0.651, "in"],
    [20, 0.999, "startups"],
  ];
  for (const [inside, dice, expected] of cases) {
    let random = 0.9999;
    const admission = new Admission(
      { ...wide, startups: { start: 10, ratePercent: 30, full: 20 } },
      () => random,
    );
    for (let n = 0; n < inside; n++) enter(admission, `192.0.2.${n}`);
    random = dice;
    const outcome = admission.admit(from("198.51.100.1"));
    assert.equal(typeof outcome === "string" ? outcome : "in", expected, `${inside} inside, ${dice}`);
  }
});

test("new limits hold for who comes next", () => {
  const admission = new Admission(wide);
  enter(admission, "192.0.2.1");
  admission.setLimits({ ...wide, maxConnections: 1 });
  assert.equal(admission.admit(from("192.0.2.2")), "maxConnections");
});

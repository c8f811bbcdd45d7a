import assert from "node:assert/strict";
import { Duplex } from "node:stream";
import { test } from "node:test";
import { silentLog, systemClock } from "#base";
import type { Arrival } from "#contract";
import { Acceptor } from "./acceptor.ts";
import { Admission } from "./admission.ts";

const limits = {
  startups: { start: 100, ratePercent: 30, full: 100 },
  maxConnections: 1,
  maxConnectionsPerSource: 100,
  maxStartupsPerSource: 100,
  sourceNetwork: { ipv4Bits: 32, ipv6Bits: 64 },
};

function stream(): { stream: Duplex; said: () => string } {
  let text = "";
  const made = new Duplex({
    read: () => {},
    write: (chunk: Buffer, _encoding, done) => {
      text += chunk.toString();
      done();
    },
  });
  return { stream: made, said: () => text };
}

test("who is refused gets one line that is no version line, and the log gets an event", async () => {
  const events: [string, unknown][] = [];
  const log = { ...silentLog, info: (event: string, fields?: unknown) => void events.push([event, fields]) };
  const started: Arrival[] = [];
  const acceptor = new Acceptor({
    admission: new Admission(limits),
    clock: systemClock,
    log,
    start: (arrival) => void started.push(arrival),
  });
  const arrive = (made: Duplex): void => {
    acceptor.accept({ stream: made, from: { ip: "192.0.2.1", text: "192.0.2.1:5" }, via: "here" });
  };
  arrive(stream().stream);
  const second = stream();
  const finished = new Promise((resolve) => second.stream.once("finish", resolve));
  arrive(second.stream);
  await finished;
  assert.equal(started.length, 1);
  assert.match(second.said(), /^(?!SSH-)[ -~]+\r\n$/);
  second.stream.destroy();
  arrive(stream().stream);
  assert.deepEqual(events, [
    ["connection-refused", { limit: "maxConnections", from: "192.0.2.1:5", via: "here" }],
  ]);
  acceptor.stop();
  const third = stream();
  arrive(third.stream);
  assert.match(third.said(), /shutting down/);
  assert.equal(started.length, 1);
});

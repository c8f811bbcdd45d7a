import assert from "node:assert/strict";
import { test } from "node:test";
import { agentSchema } from "./schema.ts";

const gate = { address: "gate.example", fingerprints: [`SHA256:${"A".repeat(43)}`] };
const good = { name: "kiosk7", gates: [gate], forwards: [{ port: 22, to: "localhost:22" }] };

function problems(change: object): string {
  const { error } = agentSchema.safeParse({ ...good, ...change });
  return (error?.issues ?? []).map(({ path, message }) => `${path.join(".")}: ${message}`).join("\n");
}

test("the smallest file, and what it leaves to be taken for granted", () => {
  const config = agentSchema.parse(good);
  assert.deepEqual(config.gates[0]?.address, { host: "gate.example", port: 22 });
  assert.equal(config.gates[0]?.user, "device");
  assert.equal(config.stateDir, "/var/lib/postern-agent");
  assert.deepEqual(config.retry, { firstSeconds: 1, maxSeconds: 60 });
  assert.deepEqual(config.forwards[0]?.to, { kind: "tcp", host: "localhost", port: 22 });
});

test("a gateway that anybody could stand in for is refused", () => {
  assert.match(problems({ gates: [{ address: "gate" }] }), /needs knownHosts or fingerprints/);
});

test("what is there twice, and what is not there at all", () => {
  assert.match(problems({ gates: [gate, { ...gate, address: "GATE.example:22" }] }), /stands here already/);
  const forward = { port: 22, to: "localhost:22" };
  assert.match(problems({ forwards: [forward, forward] }), /port 22 is forwarded already/);
  assert.match(problems({ service: { port: 22 } }), /port 22 is forwarded already/);
  assert.match(problems({ forwards: [] }), /nothing to hold/);
  assert.match(problems({ gates: [] }), /needs a gateway/);
});

test("units, names, tokens and places that could be taken for something else", () => {
  for (const unit of [
    "-x.service",
    "nginx",
    "a b.service",
    "../x.service",
    "a.service\n",
    "$(id).service",
    "",
  ])
    for (const list of ["restart", "logs"])
      assert.match(problems({ service: { port: 80, [list]: [unit] } }), /is no unit/, unit);
  assert.equal(problems({ service: { port: 80, restart: ["a@b-c.d.service", "x.timer"] } }), "");
  for (const name of ["", "-x", "a b", "x".repeat(64), "a\n", "$(id)"])
    assert.match(problems({ name }), /^name: /, name);
  for (const token of ["a b", "a@evil", "+x"])
    assert.match(problems({ gates: [{ ...gate, token }] }), /no join token/);
  for (const to of ["", "nowhere", "unix:relative", "localhost:99999"])
    assert.match(problems({ forwards: [{ port: 22, to }] }), /^forwards\.0\.to: /, to);
  assert.equal(problems({ forwards: [{ port: 22, to: "unix:/run/x.sock" }] }), "");
  assert.match(problems({ other: 1 }), /other/);
});

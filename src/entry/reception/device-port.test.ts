import assert from "node:assert/strict";
import { once } from "node:events";
import { duplexPair, type Duplex } from "node:stream";
import { test } from "node:test";
import { Cidr } from "#base";
import type { AuditEvent, Received, ReceptionDesk } from "#contract";
import { entryErrors } from "../errors.ts";
import { atDevicePort } from "./device-port.ts";

const plan = { device: "kiosk7", port: 22, from: [new Cidr("10.0.0.0/8")] };

interface Tried {
  readonly received: Received;
  readonly client: Duplex;
  readonly audit: readonly AuditEvent[];
}

async function tried(ip: string | undefined, open: () => Promise<Duplex>): Promise<Tried> {
  const [client, ours] = duplexPair();
  const audit: AuditEvent[] = [];
  const desk = {
    signal: new AbortController().signal,
    from: ip === undefined ? { text: "unix" } : { ip, port: 5, text: `${ip}:5` },
    audit: (event: AuditEvent) => void audit.push(event),
  } as unknown as ReceptionDesk;
  return { received: await atDevicePort(ours, plan, desk, { open }), client, audit };
}

/** All that comes; the other direction stays open. */
async function all(stream: Duplex): Promise<string> {
  let text = "";
  stream.on("data", (chunk: Buffer) => (text += chunk.toString()));
  await once(stream, "end");
  return text;
}

test("bytes pass both ways, and each side may end its own first", async () => {
  const [upstream, device] = duplexPair();
  const { received, client, audit } = await tried("10.1.2.3", () => Promise.resolve(upstream));
  assert.equal(received.kind, "served");
  client.end("question");
  assert.equal(await all(device), "question");
  device.end("answer");
  assert.equal(await all(client), "answer");
  if (received.kind === "served") await received.ended;
  assert.deepEqual(
    audit.map((event) => ("outcome" in event ? event.outcome : "")),
    ["opened"],
  );
});

test("from elsewhere, or from a UNIX socket, nothing is opened", async () => {
  for (const ip of ["11.0.0.1", "::1", undefined]) {
    const open = (): Promise<Duplex> => Promise.reject(new Error("not asked for"));
    const { received } = await tried(ip, open);
    assert.equal(received.kind, "refused", ip ?? "unix");
    assert.equal(received.stream.destroyed, true);
  }
});

test("a device that is away ends the connection; a mistake of ours is no device's", async () => {
  const away = await tried("10.0.0.1", () => Promise.reject(new entryErrors.PEER_LEFT_EARLY()));
  assert.deepEqual([away.received.kind, away.received.stream.destroyed], ["refused", true]);
  await assert.rejects(
    tried("10.0.0.1", () => Promise.reject(new TypeError("ours"))),
    /ours/,
  );
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLog } from "#base";
import type { DialOptions } from "#contract";
import { type ChannelOffer, ConnectionMux } from "#ssh/connection";
import { decodeTcpipChannel, OPEN_FAILURE } from "#ssh/messages";
import { FakeClock } from "#test/support/fake-clock";
import { hopStand, take } from "#test/support/hop-stand";
import { packetPipe } from "#test/support/packet-pipe";
import { settled } from "#test/support/raw-peer";
import { JumpDialer } from "./ssh.ts";

const target = { host: "web1.lan", port: 2222 };

interface Host {
  readonly mux: ConnectionMux;
  readonly offers: ChannelOffer[];
}

/** A dialer, and the jump hosts that it has connected to. */
function stand(connect: () => Promise<void> = async () => {}) {
  const clock = new FakeClock();
  const hosts: Host[] = [];
  const signals: AbortSignal[] = [];
  const dialer = new JumpDialer(
    { address: { host: "jump", port: 22 }, idleMs: 1000 },
    {
      ...hopStand().ports,
      clock,
      log: silentLog,
      connector: async (_through, signal) => {
        signals.push(signal);
        await connect();
        const [near, far] = packetPipe();
        const offers: ChannelOffer[] = [];
        hosts.push({
          offers,
          mux: new ConnectionMux(far, {
            channels: new Map([["direct-tcpip", (offer: ChannelOffer) => void offers.push(offer)]]),
          }),
        });
        return near;
      },
    },
  );
  return { dialer, clock, hosts, signals };
}

function options(signal: AbortSignal = new AbortController().signal): DialOptions {
  return { timeoutMs: 500, signal };
}

async function offered(hosts: readonly Host[], at: number, count: number): Promise<ChannelOffer> {
  while ((hosts[at]?.offers.length ?? 0) < count) await settled();
  const offer = hosts[at]?.offers[count - 1];
  assert.ok(offer !== undefined);
  return offer;
}

test("a channel for each stream, over one connection; the name goes as it is, and nothing tells of the client", async () => {
  const { dialer, hosts } = stand();
  const both = [dialer.dial(target, options()), dialer.dial({ host: "::1", port: 22 }, options())];
  const first = await offered(hosts, 0, 1);
  assert.deepEqual(decodeTcpipChannel(first.data), { ...target, originAddress: "127.0.0.1", originPort: 0 });
  const far = first.accept();
  (await offered(hosts, 0, 2)).accept();
  const [stream] = await Promise.all(both);
  stream?.write("up");
  assert.equal((await take(far, 2)).toString(), "up");
  far.write("down");
  assert.ok(stream !== undefined);
  assert.equal((await take(stream, 4)).toString(), "down");
  assert.equal(hosts.length, 1);
  await dialer[Symbol.asyncDispose]();
  await hosts[0]?.mux.ended;
});

test("what the jump host refuses is told in its own words, or by its reason", async () => {
  const { dialer, hosts } = stand();
  for (const [at, [words, told]] of [
    ["Connection refused", /jump host jump:22: web1\.lan:2222: Connection refused/],
    ["", /reason 2/],
  ].entries() as ArrayIterator<[number, [string, RegExp]]>) {
    const dialling = dialer.dial(target, options());
    (await offered(hosts, 0, at + 1)).refuse(OPEN_FAILURE.CONNECT_FAILED, words);
    await assert.rejects(dialling, { code: "UPSTREAM_PROXY_REFUSED", message: told });
  }
  assert.equal(hosts.length, 1);
});

test("an idle connection is closed, one in use is not, and a new stream in time keeps it", async () => {
  const { dialer, hosts, clock } = stand();
  const dialling = dialer.dial(target, options());
  (await offered(hosts, 0, 1)).accept();
  const stream = await dialling;
  clock.advance(60_000);
  stream.destroy();
  await settled();
  clock.advance(999);
  const again = dialer.dial(target, options());
  (await offered(hosts, 0, 2)).accept();
  const second = await again;
  clock.advance(60_000);
  assert.equal(hosts.length, 1);
  second.destroy();
  await settled();
  clock.advance(1000);
  await hosts[0]?.mux.ended;
  void dialer.dial(target, options()).catch(() => {});
  await offered(hosts, 1, 1);
});

test("a jump host that does not answer for a channel gets no new ones; who has one keeps it", async () => {
  const { dialer, hosts, clock } = stand();
  const first = dialer.dial(target, options());
  const far = (await offered(hosts, 0, 1)).accept();
  const stream = await first;
  const silent = dialer.dial(target, options());
  const late = await offered(hosts, 0, 2);
  clock.advance(500);
  await assert.rejects(silent, { code: "UPSTREAM_TIMEOUT" });
  void dialer.dial(target, options()).catch(() => {});
  await offered(hosts, 1, 1);
  stream.write("still");
  assert.equal((await take(far, 5)).toString(), "still");
  // What opens too late is closed at once, and with the last stream the old connection ends.
  const opened = late.accept();
  await opened.over;
  stream.destroy();
  await settled();
  clock.advance(0);
  await hosts[0]?.mux.ended;
});

test("a connection that dies takes its streams with it, and the next is a new one", async () => {
  const { dialer, hosts } = stand();
  const dialling = dialer.dial(target, options());
  (await offered(hosts, 0, 1)).accept();
  const stream = await dialling;
  const closed = new Promise((resolve) => stream.once("close", resolve));
  hosts[0]?.mux.disconnect();
  await closed;
  const again = dialer.dial(target, options());
  (await offered(hosts, 1, 1)).accept();
  assert.ok(!(await again).destroyed);
});

test("who gives up does not disturb the others; a connection that fails is tried anew by the next", async () => {
  let failing = true;
  const { dialer, hosts, signals } = stand(async () => {
    if (failing) throw new Error("no way");
  });
  await assert.rejects(dialer.dial(target, options()), /no way/);
  failing = false;
  const over = new AbortController();
  const given = dialer.dial(target, options(over.signal));
  const stays = dialer.dial(target, options());
  over.abort();
  await assert.rejects(given, { code: "UPSTREAM_UNREACHABLE", message: /given up/ });
  (await offered(hosts, 0, 1)).accept();
  assert.ok(!(await stays).destroyed);
  await assert.rejects(dialer.dial(target, options(AbortSignal.abort())), { code: "UPSTREAM_UNREACHABLE" });
  assert.equal(signals.length, 2);
  await dialer[Symbol.asyncDispose]();
  assert.ok(signals.every(({ aborted }) => aborted));
});

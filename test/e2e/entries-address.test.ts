/** The address that the client connected to is the target's name: several of IPv4, a whole network of IPv6, and as a proxy says. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { after, before, test } from "node:test";
import { dialGateway, type EntryWorld, read, startEntryWorld } from "#test/support/entries";
import { missing, stranger } from "#test/support/strangers";
import { isRoot } from "#test/support/test-user";

const skip = missing("ssh", "sshd", "ip");
const prefix = "fd5b:77c0:51aa:1::";
let world: EntryWorld;
let skipIpv6: string | false = "needs root, and IPv6 on this machine";

function ip(...args: readonly string[]): boolean {
  return spawnSync(stranger("ip"), args).status === 0;
}

before(async () => {
  if (skip !== false) return;
  // Every address of the network is this machine's own.
  if (isRoot && ip("-6", "route", "replace", "local", `${prefix}/64`, "dev", "lo")) skipIpv6 = false;
  const entries = ["ssh", "version", "address"];
  const proxyProtocol = { from: ["127.0.0.2"] };
  world = await startEntryWorld({
    listener: {},
    config: { listen: [{ address: ":0", entries, silentSeconds: "100ms", proxyProtocol }] },
    more: [
      { name: "twenty", host: "127.0.0.1", port: 1, at: ["127.0.2.0/24"] },
      { name: "here", host: "127.0.0.1", port: 1, at: ["127.0.3.1"] },
      { name: "hidden", host: "127.0.0.1", port: 1, at: ["127.0.4.1"] },
      {
        name: "numbered",
        at: [`${prefix}/64`],
        pattern: `${prefix}(?<last>[0-9]+)`,
        addresses: ["127.0.0.{last}:1"],
      },
    ],
    rules: () => [
      {
        name: "all",
        mode: "splice",
        match: { from: ["127.0.0.0/8", "::/0"] },
        targets: ["twenty", "here", "numbered"],
      },
    ],
  });
});
after(async () => {
  await world?.[Symbol.asyncDispose]();
  if (skipIpv6 === false) ip("-6", "route", "del", "local", `${prefix}/64`, "dev", "lo");
});

async function said(host: string, first = "SSH-2.0-x\r\n", from?: string): Promise<string> {
  const client = await dialGateway({ ...world.gateway, host }, from);
  client.write(first);
  const text = await read(client, (each) => each.includes("\n") && !each.includes("Postern"));
  client.destroy();
  return text;
}

const unreachable = /The server behind this gateway cannot be reached/;

test("an address at which a target stands leads there, whatever is said; others are the gateway's own", {
  skip,
}, async () => {
  for (const host of ["127.0.2.1", "127.0.2.255", "127.0.3.1"])
    assert.match(await said(host), unreachable, host);
  // What is not for the client is as if nothing stood there.
  for (const host of ["127.0.4.1", "127.0.5.1"]) {
    const client = await dialGateway({ ...world.gateway, host });
    client.write("SSH-2.0-x\r\n");
    assert.match(await read(client, (each) => each.includes("\n")), /^SSH-2\.0-\S*Postern/, host);
    client.destroy();
  }
});

test("the destination in a PROXY header counts, of a proxy that is believed", { skip }, async () => {
  const header = (to: string): string => `PROXY TCP4 127.0.0.9 ${to} 50022 22\r\nSSH-2.0-x\r\n`;
  assert.match(await said("127.0.0.1", header("127.0.3.1"), "127.0.0.2"), unreachable);
  const other = await dialGateway(world.gateway, "127.0.0.2");
  other.write(header("127.0.9.9"));
  assert.match(await read(other, (each) => each.includes("\n")), /^SSH-2\.0-\S*Postern/);
  other.destroy();
});

test("one listener serves a whole network of IPv6, and the address fills in the target's", {
  skip,
}, async (context) => {
  if (skipIpv6 !== false) {
    context.skip(skipIpv6);
    return;
  }
  assert.match(await said(`${prefix}7`), unreachable);
  // The name is filled in from the address.
  await world.gateway.waitForLog("the way", (line) => JSON.stringify(line).includes("127.0.0.7:1"));
  const none = await dialGateway({ ...world.gateway, host: `${prefix}abcd` });
  none.write("SSH-2.0-x\r\n");
  assert.match(await read(none, (each) => each.includes("\n")), /^SSH-2\.0-\S*Postern/);
  none.destroy();
});

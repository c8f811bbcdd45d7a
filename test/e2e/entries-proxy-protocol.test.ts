/** The PROXY protocol in front of the gateway: believed from the proxies that are listed, and from nobody else. */
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { Child } from "#test/support/child";
import { type EntryWorld, dialGateway, read, startEntryWorld } from "#test/support/entries";
import { freePort } from "#test/support/ports";
import { runSsh } from "#test/support/ssh";
import { missing, stranger } from "#test/support/strangers";

const skip = missing("ssh", "sshd");
const skipHaproxy = skip === false ? missing("haproxy") : skip;
let world: EntryWorld;

before(async () => {
  if (skip !== false) return;
  world = await startEntryWorld({
    listener: { entries: ["ssh", "version"], proxyProtocol: { from: ["127.0.0.2"] } },
    // The header is read before a worker is chosen, and what came behind it goes along.
    config: { workers: 2 },
    rules: [
      { name: "behind", mode: "splice", match: { from: ["10.9.0.0/16"] }, targets: ["web1"] },
      { name: "haproxy", mode: "splice", match: { from: ["127.0.0.3"] }, targets: ["web2"] },
    ],
  });
});
after(async () => {
  await world?.[Symbol.asyncDispose]();
});

async function answer(from: string, ...sent: (string | Buffer)[]): Promise<string> {
  const client = await dialGateway(world.gateway, from);
  for (const piece of sent) {
    client.write(piece);
    await new Promise((resolve) => setImmediate(resolve));
  }
  const text = await read(client, (each) => each.includes("\n"));
  client.destroy();
  return text;
}

const named = "SSH-2.0-x Host: web1\r\n";
const version2 = Buffer.from("0d0a0d0a000d0a515549540a2111000c0a0908077f000001c3660016", "hex");

test("the address in the header is the client's: for rules, and in the log", { skip }, async () => {
  const header = "PROXY TCP4 10.9.8.7 127.0.0.1 50022 22\r\n";
  assert.match(await answer("127.0.0.2", header + named), /^SSH-2\.0-OpenSSH_[0-9]/);
  assert.match(
    await answer("127.0.0.2", header.slice(0, 9), header.slice(9), named),
    /^SSH-2\.0-OpenSSH_[0-9]/,
  );
  assert.match(
    await answer("127.0.0.2", Buffer.concat([version2, Buffer.from(named)])),
    /^SSH-2\.0-OpenSSH_[0-9]/,
  );
  assert.match(await answer("127.0.0.2", header.replace("10.9", "10.8") + named), /^SSH-2\.0-\S*Postern/);
  await world.gateway.waitForLog("the client's address", ({ from }) => from === "10.9.8.7:50022");
});

test("a proxy without a header, and a header from somebody else, come to nothing", { skip }, async () => {
  assert.equal(await answer("127.0.0.2", named), "");
  assert.equal(await answer("127.0.0.2", "PROXY TCP4 10.9.8.7 nonsense\r\n"), "");
  const text = await answer("127.0.0.1", `PROXY TCP4 10.9.8.7 127.0.0.1 50022 22\r\n${named}`);
  assert.match(text, /^SSH-2\.0-\S*Postern/);
});

test("HAProxy in front, with both versions", { skip: skipHaproxy }, async () => {
  for (const send of ["send-proxy", "send-proxy-v2"]) {
    const port = await freePort();
    const file = world.gateway.folder.at(`${send}.cfg`);
    const server = `server gate 127.0.0.1:${world.gateway.port} ${send} source 127.0.0.2`;
    await writeFile(
      file,
      `defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 30s\n  timeout server 30s\nlisten front\n  bind 127.0.0.1:${port}\n  ${server}\n`,
    );
    await using haproxy = new Child(stranger("haproxy"), ["-db", "-f", file]);
    const target = { ...world.gateway, port };
    let text = "";
    while (text === "" && haproxy.running) {
      const client = await dialGateway(target, "127.0.0.3").catch(() => undefined);
      client?.write("SSH-2.0-x Host: web2\r\n");
      text = client === undefined ? "" : await read(client, (each) => each.includes("\n"));
      client?.destroy();
      if (text === "") await new Promise((resolve) => setTimeout(resolve, 50));
    }
    assert.match(text, /^SSH-2\.0-OpenSSH_[0-9]/, send);
  }
});

test("everybody else logs in as ever", { skip }, async () => {
  const { stderr } = await runSsh(world.gateway.target("nobody", world.identity.path), ["true"]);
  assert.match(stderr, /Permission denied/);
});

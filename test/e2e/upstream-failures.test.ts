/** An upstream that cannot be reached or entered is told to the client in one clear line, never by a bare hang-up. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { once } from "node:events";
import type { Socket } from "node:net";
import { startListener, type Listener } from "#test/support/echo-server";
import type { Pieces } from "#test/support/gateway";
import { freePort } from "#test/support/ports";
import { runSsh, spawnSsh } from "#test/support/ssh";
import { missing } from "#test/support/strangers";
import { keyRule, startWorld, upstreamTo, type World } from "#test/support/world";

const skip = missing("ssh", "sshd");
let world: World;
let silent: Listener;
let garbage: Listener;
let hangsUp: Listener;
let old: Listener;
let refused: string;

function at(listener: Listener): string {
  return `127.0.0.1:${listener.port}`;
}

before(async () => {
  if (skip !== false) return;
  world = await startWorld({ rules: () => [], config: {} });
  silent = await startListener(() => undefined);
  garbage = await startListener((socket: Socket) =>
    socket.write("HTTP/1.1 400 Bad Request\r\n\r\n".repeat(2000)),
  );
  hangsUp = await startListener((socket: Socket) => socket.destroy());
  old = await startListener((socket: Socket) => socket.write("SSH-1.5-old\r\n"));
  refused = `127.0.0.1:${await freePort()}`;
  const { sshd, gateway, keys } = world;
  const good = `${sshd.host}:${sshd.port}`;
  const rule = (name: string, upstream: Pieces): Pieces =>
    keyRule(world, name, { upstream: upstreamTo(world, upstream) });
  const any = { hostKey: { dangerouslyAcceptAny: true } };
  const stranger = keys.key("ed25519", "unknown-to-upstream");
  await gateway.rewrite(
    [
      rule("refused", { addresses: [refused] }),
      rule("no-name", { addresses: ["no-such-host.invalid:22"] }),
      rule("silent", { addresses: [at(silent)], ...any, connectTimeoutSeconds: 1 }),
      rule("unroutable", { addresses: ["192.0.2.1:22"], connectTimeoutSeconds: 1 }),
      rule("garbage", { addresses: [at(garbage)], ...any }),
      rule("hangs-up", { addresses: [at(hangsUp)], ...any }),
      rule("version-1", { addresses: [at(old)], ...any }),
      rule("wrong-key", { credentials: [{ kind: "key", file: stranger.path }] }),
      rule("wrong-password", { credentials: [{ kind: "password", password: "not it" }] }),
      rule("no-such-user", { user: "nobody-of-this-name" }),
      rule("next-after-refused", { addresses: [refused, good] }),
      rule("next-after-no-name", { addresses: ["no-such-host.invalid:22", good] }),
      rule("next-after-hang-up", { addresses: [at(hangsUp), good] }),
      rule("next-after-silence", { addresses: [at(silent), good], connectTimeoutSeconds: 1 }),
      rule("all-refused", { addresses: [refused, refused] }),
      rule("spread", { addresses: [refused, good], spread: "random" }),
    ],
    {
      limits: { upstreamLoginSeconds: 3, startups: { start: 1000, full: 1000 }, maxStartupsPerSource: 1000 },
    },
  );
  gateway.signal("SIGHUP");
  await gateway.waitForLog("reload", ({ event }) => event === "reloaded");
});
after(async () => {
  for (const listener of [silent, garbage, hangsUp, old]) await listener?.[Symbol.asyncDispose]();
  await world?.[Symbol.asyncDispose]();
});

const login = (user: string) => runSsh(world.gateway.target(user, world.identity.path), ["echo in"]);

const failures = [
  ["refused", /server behind this gateway cannot be reached/],
  ["no-name", /server behind this gateway cannot be reached/],
  ["all-refused", /server behind this gateway cannot be reached/],
  ["unroutable", /server behind this gateway (cannot be reached|does not answer)/],
  ["silent", /server behind this gateway/],
  ["garbage", /server behind this gateway/],
  ["hangs-up", /server behind this gateway/],
  ["version-1", /server behind this gateway/],
  ["wrong-key", /server behind this gateway refused the gateway's login/],
  ["wrong-password", /server behind this gateway refused the gateway's login/],
  ["no-such-user", /server behind this gateway refused the gateway's login/],
] as const;

for (const [user, words] of failures) {
  test(`${user}: one clear line at the client`, { skip }, async () => {
    const { code, stderr } = await login(user);
    assert.equal(code, 255);
    // Said first in a banner, as not every client shows the text of a disconnect.
    const [told = ""] = stderr.split("\n");
    assert.match(told, words);
    assert.match(stderr, new RegExp(`Received disconnect from .*:\\d+: .*${words.source}`));
    // Nothing of the inside of the network leaves.
    assert.doesNotMatch(stderr, /ECONN|ENOTFOUND|192\.0\.2\.1|no-such-host|Error|\bat /);
  });

  test(`${user}: the log says who is to blame, and under which rule`, { skip }, async () => {
    const line = await world.gateway.waitForLog("the failure", (each) => {
      return each.event === "session-failed" && each["rule"] === user;
    });
    assert.equal(line["level"], "warn");
    assert.match(JSON.stringify(line), /"code":"UPSTREAM_[A-Z_]+"/);
  });
}

for (const user of [
  "next-after-refused",
  "next-after-no-name",
  "next-after-hang-up",
  "next-after-silence",
  "spread",
]) {
  test(`${user}: the next address is tried`, { skip }, async () => {
    const { code, stdout, stderr } = await login(user);
    assert.equal(code, 0, stderr);
    assert.equal(stdout.toString(), "in\n");
  });
}

test("many failures leave nothing behind: the gateway still serves", { skip }, async () => {
  await Promise.all(Array.from({ length: 20 }, () => login("refused")));
  assert.equal((await login("next-after-refused")).code, 0);
});

test("a client that leaves while the upstream is silent ends the dialling", { skip }, async () => {
  const before = silent.count;
  const closed = new Promise<void>((resolve) => {
    silent.server.once("connection", (socket: Socket) => socket.resume().once("end", () => resolve()));
  });

  await using ssh = spawnSsh(world.gateway.target("silent", world.identity.path), ["true"]);
  if (silent.count === before) await once(silent.server, "connection");
  ssh.kill("SIGKILL");
  await closed;
  await ssh.ended;
});

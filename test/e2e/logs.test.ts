/** The log: JSON, one event a line, one id through a session, reopened on SIGUSR1; a full disk ends nothing. */
import assert from "node:assert/strict";
import { readFile, rename, stat } from "node:fs/promises";
import { after, before, test } from "node:test";
import { eventOf, postern, type LogLine } from "#test/support/gateway";
import { runSsh } from "#test/support/ssh";
import { missing } from "#test/support/strangers";
import { until } from "#test/support/waiting";
import { startWorld, type World } from "#test/support/world";

const skip = missing("ssh", "sshd");
let world: World;
before(async () => {
  if (skip === false) world = await startWorld({});
});
after(async () => {
  await world?.[Symbol.asyncDispose]();
});

const login = (at: World) => runSsh(at.gateway.target(at.user.name, at.identity.path), ["true"]);

test("every line is JSON with a time, a level and an event's name", { skip }, async () => {
  await login(world);
  await world.gateway.waitForLog("the session's end", ({ event }) => event === "session-ended");
  const lines = world.gateway.child.stderr.split("\n").filter((line) => line !== "");
  assert.ok(lines.length > 3);
  for (const text of lines) {
    const line = JSON.parse(text) as LogLine;
    assert.match(eventOf(line), /^[a-z][a-z0-9]*(-[a-z0-9]+)*$/, text);
    assert.match(String(line["level"]), /^(trace|debug|info|warn|error|fatal)$/);
    assert.ok(!Number.isNaN(Date.parse(String(line["time"]))), text);
  }
});

test("one id leads through all lines of a session, from the connection to its end", { skip }, async () => {
  const known = new Set(world.gateway.logs().map((line) => line["session"]));
  await login(world);
  const opened = await world.gateway.waitForLog("a new session", (line) => {
    return eventOf(line) === "session-opened" && !known.has(line["session"]);
  });
  await world.gateway.waitForLog("its end", (line) => {
    return eventOf(line) === "session-ended" && line["session"] === opened["session"];
  });
  const told = world.gateway.logs().filter((line) => line["session"] === opened["session"]);
  const text = JSON.stringify(told);
  assert.ok(told.length >= 2);
  for (const fact of [world.user.name, "127.0.0.1", String(world.sshd.port)])
    assert.ok(text.includes(fact), `${fact} in ${text}`);
  assert.equal(told.filter((line) => eventOf(line) === "session-ended").length, 1);
});

test("a failed login is told: who, from where, and why", { skip }, async () => {
  const { keys, gateway } = world;
  await runSsh(gateway.target("mallory", keys.key("ed25519", "stranger").path), ["true"]);
  const line = await gateway.waitForLog("the failure", (each) => each["user"] === "mallory");
  assert.match(JSON.stringify(line), /127\.0\.0\.1|session/);
});

test("SIGUSR1 opens the file anew, after logrotate has moved it", { skip }, async () => {
  await using own = await startWorld({ logFile: "postern.log", knownPort: true });
  const file = own.gateway.folder.at("postern.log");
  await login(own);
  await until("a session in the file", async () => (await readFile(file, "utf8")).includes("session-ended"));
  await rename(file, `${file}.1`);
  const old = await readFile(`${file}.1`, "utf8");
  own.gateway.signal("SIGUSR1");
  await until("a new file", () =>
    stat(file).then(
      () => true,
      () => false,
    ),
  );
  await login(own);
  await until("a session in the new file", async () =>
    (await readFile(file, "utf8")).includes("session-ended"),
  );
  assert.equal((await readFile(`${file}.1`, "utf8")).replace(old, "").includes("session-opened"), false);
});

test("a full disk: sessions go on", { skip }, async () => {
  await using own = await startWorld({
    config: { log: { level: "trace", format: "json", file: "/dev/full" } },
    knownPort: true,
  });
  for (let count = 0; count < 3; count += 1) {
    const { code, stderr } = await login(own);
    assert.equal(code, 0, stderr);
  }
  assert.ok(own.gateway.child.running);
});

test("the level changes at run time", { skip }, async () => {
  await using own = await startWorld({ config: { log: { level: "warn", format: "json" } }, knownPort: true });
  await login(own);
  assert.deepEqual(own.gateway.events("session-opened"), []);
  const { code, stderr } = await postern(["log-level", "debug", "-c", own.gateway.configFile]);
  assert.equal(code, 0, stderr);
  await login(own);
  await own.gateway.waitForLog("a session", ({ event }) => event === "session-opened");
});

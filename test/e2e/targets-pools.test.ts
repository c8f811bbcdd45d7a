/** Targets with several addresses: which comes next, which is down, which is drained, and how many may come. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { LogLine } from "#test/support/gateway";
import { missing } from "#test/support/strangers";
import { startAcceptingHaproxy, startTargetWorld, type TargetWorld } from "#test/support/targets";
import { until } from "#test/support/waiting";

const skip = missing("ssh", "sshd", "nc", "socat");
const skipHaproxy = skip === false ? missing("haproxy") : skip;

async function number(world: TargetWorld, target: string, from?: string): Promise<string> {
  const { stdout, stderr } = await world.ssh(target, "echo $NUMBER", from);
  return stdout.toString().trim() || stderr;
}

for (const workers of [1, 2]) {
  test(`addresses take turns, the dead are passed over, the drained get nobody new (workers: ${workers})`, {
    skip,
  }, async () => {
    const check = { kind: "ssh", intervalSeconds: 0.2, rise: 1, fall: 1 };
    await using world = await startTargetWorld({
      sshds: 3,
      config: { workers },
      targets: (sshds) => {
        const addresses = sshds.map(({ port }) => `127.0.0.1:${port}`);
        return [
          { name: "turns", addresses, balance: "round-robin" },
          { name: "first", addresses: ["127.0.0.1:1", ...addresses] },
          { name: "sticky", addresses, balance: "round-robin", sticky: "source" },
          { name: "checked", addresses: [addresses[0], addresses[2]], check },
        ];
      },
    });
    const [a, b] = world.sshds.map(({ port }) => `127.0.0.1:${port}`);
    const turns = [];
    for (let at = 0; at < 6; at++) turns.push(await number(world, "turns"));
    assert.deepEqual(
      turns.slice(0, 3).toSorted((x, y) => x.localeCompare(y)),
      ["0", "1", "2"],
    );
    assert.deepEqual(turns.slice(3), turns.slice(0, 3));

    assert.equal(await number(world, "first"), "0", "nobody listens at the first of its addresses");
    const sticky = [];
    for (let at = 0; at < 3; at++) sticky.push(await number(world, "sticky", "127.0.0.9"));
    assert.equal(new Set(sticky).size, 1, sticky.join());

    await using staying = world.staying("turns", "echo in $NUMBER; read line; echo $line");
    await staying.waitForStdout(/in \d/);
    const there = /in (\d)/.exec(staying.stdout.toString())?.[1] ?? "";
    const address = `127.0.0.1:${world.sshds[Number(there)]?.port}`;
    const drained = await world.ask("target", "drain", "turns", address);
    assert.match(drained.stdout.toString(), /gets no new sessions; 1 session is still there/, drained.stderr);
    const rest = new Set<string>();
    for (let at = 0; at < 4; at++) rest.add(await number(world, "turns"));
    assert.equal(rest.size, 2);
    assert.ok(!rest.has(there));
    staying.stdin.end("still here\n");
    await staying.waitForStdout(/still here/);
    const { stdout: status } = await world.ask("status");
    assert.match(status.toString(), new RegExp(`turns ${address}: not checked, drained`));
    await world.ask("target", "undrain", "turns", address);
    for (let at = 0; at < 3; at++) rest.add(await number(world, "turns"));
    assert.ok(rest.has(there));
    const wrong = await world.ask("target", "drain", "turns", "127.0.0.1:1");
    assert.notEqual(wrong.code, 0);
    assert.match(wrong.stderr, /there is no target turns with an address 127\.0\.0\.1:1/);

    const up = ({ event, target, address: at }: LogLine): boolean =>
      event === "target-up" && target === "checked" && at === a;
    await world.gateway.waitForLog("the first check", up);
    assert.equal(await number(world, "checked"), "0");
    await world.sshds[0]?.[Symbol.asyncDispose]();
    const down = ({ event, target, address: at }: LogLine): boolean =>
      event === "target-down" && target === "checked" && at === a;
    const { reason } = await world.gateway.waitForLog("the failed check", down);
    // A look that was under way when it went finds the connection closed, the next that nobody listens.
    assert.match(String(reason), /ECONNREFUSED|it closed the connection/);
    assert.equal(await number(world, "checked"), "2");
    const { stdout: later } = await world.ask("status");
    assert.match(
      later.toString(),
      new RegExp(`checked ${a}: down \\(.*(?:ECONNREFUSED|it closed the connection).*\\), 0 sessions`),
    );
    assert.match(later.toString(), new RegExp(`turns ${b}: not checked, 0 sessions`));
    // Whatever the number of workers, one process looks.
    assert.equal(world.gateway.events("target-down").length, 1);
  });
}

test("a reload drains by configuration, and cuts nobody", { skip }, async () => {
  await using world = await startTargetWorld({
    sshds: 2,
    targets: (sshds) => [{ name: "web", addresses: sshds.map(({ port }) => `127.0.0.1:${port}`) }],
  });
  const addresses = world.sshds.map(({ port }) => `127.0.0.1:${port}`);
  await using staying = world.staying("web", "echo in $NUMBER; read line; echo $line");
  await staying.waitForStdout(/in 0/);
  await world.rewrite([{ name: "web", addresses, drained: [addresses[0]] }]);
  const reloaded = await world.ask("reload");
  assert.equal(reloaded.code, 0, reloaded.stderr);
  assert.equal(await number(world, "web"), "1");
  const { stdout } = await world.ask("status");
  assert.match(stdout.toString(), new RegExp(`web ${addresses[0]}: not checked, drained, 1 session`));
  staying.stdin.end("still here\n");
  await staying.waitForStdout(/still here/);
});

for (const workers of [1, 2]) {
  test(`limits of a target are told by name, and places come back (workers: ${workers})`, {
    skip,
  }, async () => {
    await using world = await startTargetWorld({
      sshds: 1,
      config: { workers },
      targets: ([sshd]) => {
        const place = { host: "127.0.0.1", port: sshd?.port };
        return [
          { name: "one", ...place, limits: { maxConnections: 1 } },
          { name: "each", ...place, limits: { perClient: { connectionsPerMinute: 1 } } },
        ];
      },
    });
    await using staying = world.staying("one", "echo in; read line");
    await staying.waitForStdout(/in/);
    const refused = await world.ssh("one", "true");
    assert.notEqual(refused.code, 0);
    await world.gateway.waitForLog("the refusal", ({ code, reason }) => {
      return code === "DENIED_TARGET_FULL" && /one: maxConnections/.test(String(reason));
    });
    staying.stdin.end("\n");
    await staying.outcome();
    await until("a place", async () => (await world.ssh("one", "true")).code === 0);

    assert.equal((await world.ssh("each", "true", "127.0.0.7")).code, 0);
    assert.notEqual((await world.ssh("each", "true", "127.0.0.7")).code, 0);
    await world.gateway.waitForLog("the refusal", ({ code, reason }) => {
      return code === "DENIED_CLIENT_FULL" && /each: perClient\.connectionsPerMinute/.test(String(reason));
    });
    assert.equal((await world.ssh("each", "true", "127.0.0.8")).code, 0);
  });
}

test("HAProxy behind is told who the client is, in both versions", { skip: skipHaproxy }, async () => {
  await using stack = new AsyncDisposableStack();
  const ports = new Map<string, number>();
  let haproxy: Awaited<ReturnType<typeof startAcceptingHaproxy>> | undefined;
  await using world = await startTargetWorld({
    sshds: 1,
    targets: () => [{ name: "none", host: "127.0.0.1", port: 1 }],
  });
  haproxy = stack.use(await startAcceptingHaproxy(world.sshds[0]?.port ?? 0));
  const place = { host: "127.0.0.1", port: haproxy.port };
  const check = { kind: "ssh", intervalSeconds: 0.2, rise: 1, fall: 1 };
  await world.rewrite([
    { name: "v1", ...place, proxyProtocol: "v1" },
    { name: "v2", ...place, proxyProtocol: "v2" },
    { name: "checked", ...place, proxyProtocol: "v2", check },
    { name: "without", ...place },
  ]);
  const reloaded = await world.ask("reload");
  assert.equal(reloaded.code, 0, reloaded.stderr);
  for (const [name, from] of [
    ["v1", "127.0.0.21"],
    ["v2", "127.0.0.22"],
  ] as const) {
    assert.equal(await number(world, name, from), "0");
    await haproxy.child.waitForStdout(
      new RegExp(`from=${from.replaceAll(".", "\\.")}:\\d+ to=127\\.0\\.0\\.1:${world.gateway.port}\\b`),
    );
    ports.set(name, haproxy.port);
  }
  await world.gateway.waitForLog("a check that says LOCAL", ({ event }) => event === "target-up");
  assert.notEqual((await world.ssh("without", "true")).code, 0, "it insists on the header");
});

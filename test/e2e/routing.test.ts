/** Which rule takes a name, where it leads, and that `postern explain` says the same. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { appendFile, mkdir, writeFile } from "node:fs/promises";
import { configText, postern, startGateway, type Pieces } from "#test/support/gateway";
import { runSsh } from "#test/support/ssh";
import { startSshd, type Sshd } from "#test/support/sshd";
import { missing } from "#test/support/strangers";
import { tempDir } from "#test/support/temp-dir";
import { bareKey } from "#test/support/test-keys";
import { keyLogin, startWorld, upstreamTo, type World } from "#test/support/world";

const skip = missing("ssh", "sshd");
let world: World;
let second: Sshd;
const day = 86_400_000;
const daysFromNow = (days: number): string => new Date(Date.now() + days * day).toISOString();

before(async () => {
  if (skip !== false) return;
  world = await startWorld({ sshd: { config: ["SetEnv UPSTREAM=first"] }, rules: () => [] });
  const { sshd, gatewayKey, identity, gateway, user } = world;
  // The same port on another address of loopback, so that a captured number can choose between the two.
  second = await startSshd({
    host: "127.0.0.2",
    port: sshd.port,
    config: ["SetEnv UPSTREAM=second"],
    authorizedKeys: [gatewayKey.publicLine],
  });
  const [key] = second.hostKeys;
  await appendFile(sshd.knownHosts, `[127.0.0.2]:${second.port} ${bareKey(key?.publicLine ?? "")}\n`);
  const to = (address: string, more: Pieces = {}): Pieces =>
    upstreamTo(world, { addresses: [`${address}:${sshd.port}`], ...more });
  const login = [keyLogin(identity)];
  const rule = (name: string, match: Pieces, upstream: Pieces, more: Pieces = {}): Pieces => ({
    name,
    match,
    login,
    upstream,
    ...more,
  });
  await gateway.rewrite([
    rule("exact", { user: "alpha" }, to("127.0.0.1")),
    rule("never-reached", { user: "alpha" }, to("127.0.0.2")),
    rule("numbered", { userPattern: "^web(?<id>[12])$" }, to("127.0.0.{id}")),
    rule("positional", { userPattern: "^host([12])$" }, to("127.0.0.{1}")),
    rule("whole-name", { userPattern: "hole" }, to("127.0.0.1")),
    rule("user-captured", { userPattern: "^at-(?<who>.+)$" }, to("127.0.0.1", { user: "{who}" })),
    rule("from-elsewhere", { user: "beta", from: ["10.0.0.0/8", "2001:db8::/32"] }, to("127.0.0.1")),
    rule("from-here", { user: "beta", from: ["192.0.2.1/32", "127.0.0.0/8"] }, to("127.0.0.2")),
    rule("from-elsewhere-only", { user: "gamma", from: ["10.0.0.0/8"] }, to("127.0.0.1")),
    rule("not-yet", { user: "delta", notBefore: daysFromNow(1) }, to("127.0.0.1")),
    rule("no-longer", { user: "delta", notAfter: daysFromNow(-1) }, to("127.0.0.1")),
    rule("now", { user: "delta", notBefore: daysFromNow(-1), notAfter: daysFromNow(1) }, to("127.0.0.2")),
    rule(
      "named-target",
      { userPattern: "^(?<login>[^+]+)\\+(?<host>[a-z0-9.-]+?)(:(?<port>[0-9]+))?$" },
      { ...upstreamTo(world, { user: "{login}" }), addresses: undefined, host: "{host}", port: "{port}" },
      { targets: ["127.0.0.*"] },
    ),
    rule("default", { userPattern: "[^gn][^+]*" }, to("127.0.0.2", { user: user.name })),
  ]);
  gateway.signal("SIGHUP");
  await gateway.waitForLog("reload", ({ event }) => event === "reloaded");
});
after(async () => {
  await second?.[Symbol.asyncDispose]();
  await world?.[Symbol.asyncDispose]();
});

/** Name, the rule that takes it, and the upstream reached; none where it is refused. */
const cases: readonly (readonly [name: () => string, rule: string, upstream: "first" | "second" | "none"])[] =
  [
    [() => "alpha", "exact", "first"],
    [() => "web1", "numbered", "first"],
    [() => "web2", "numbered", "second"],
    [() => "web12", "default", "second"],
    [() => "xweb1", "default", "second"],
    [() => "host2", "positional", "second"],
    [() => "hole", "whole-name", "first"],
    [() => "holes", "default", "second"],
    [() => `at-${world.user.name}`, "user-captured", "first"],
    [() => "beta", "from-here", "second"],
    [() => "gamma", "none", "none"],
    [() => "delta", "now", "second"],
    [() => `${world.user.name}+127.0.0.2:${world.sshd.port}`, "named-target", "second"],
    [() => `${world.user.name}+127.0.0.1:${world.sshd.port}`, "named-target", "first"],
    [() => `${world.user.name}+127.1.0.1:${world.sshd.port}`, "none", "none"],
    [() => `${world.user.name}+localhost:${world.sshd.port}`, "none", "none"],
    [() => "anything else", "default", "second"],
    [() => "nobody", "none", "none"],
  ];

for (const [name, rule, upstream] of cases) {
  const title = /\$\{|\+/.test(name.toString()) ? name.toString().slice(6) : name();
  test(`${title} is taken by ${rule}, and reaches ${upstream}`, { skip }, async () => {
    const target = world.gateway.target(name(), world.identity.path);
    const { code, stdout, stderr } = await runSsh(target, ["echo $UPSTREAM; id -un"]);
    if (upstream === "none") {
      assert.equal(code, 255);
      assert.match(stderr, /Permission denied/);
      return;
    }
    assert.equal(code, 0, stderr);
    assert.equal(stdout.toString(), `${upstream}\n${world.user.name}\n`);
  });

  test(`explain: ${title} is taken by ${rule}`, { skip }, async () => {
    const { code, stdout, stderr } = await postern([
      "explain",
      "-c",
      world.gateway.configFile,
      "--from",
      "127.0.0.1",
      name(),
    ]);
    const text = stdout.toString();
    if (upstream === "none") {
      assert.notEqual(code, 0);
      return;
    }
    assert.equal(code, 0, stderr);
    assert.match(text, new RegExp(`\\b${rule}\\b`));
    const address = upstream === "first" ? "127.0.0.1" : "127.0.0.2";
    assert.ok(text.includes(`${address}:${world.sshd.port}`), text);
  });
}

test("a rule without user and userPattern takes every name; rules of included files count where they stand", {
  skip,
}, async () => {
  const { identity } = world;
  const login = [keyLogin(identity)];
  const folder = await tempDir();
  await using held = new AsyncDisposableStack();
  held.use(folder);
  const included = (name: string, address: string): string =>
    configText({
      rules: [
        {
          name,
          match: { user: name },
          login,
          upstream: upstreamTo(world, { addresses: [`${address}:${world.sshd.port}`] }),
        },
      ],
    });
  await mkdir(folder.at("conf.d"));
  await writeFile(folder.at("conf.d", "10-a.yaml"), included("included", "127.0.0.2"));
  await writeFile(
    folder.at("conf.d", "20-b.yaml"),
    included("default", "127.0.0.2").replace('"name": "default"', '"name": "by-name"'),
  );
  const gateway = held.use(
    await startGateway({
      config: { include: [folder.at("conf.d", "*.yaml")] },
      rules: [{ name: "default", login, upstream: upstreamTo(world) }],
    }),
  );
  const reach = async (name: string): Promise<string> =>
    (await runSsh(gateway.target(name, identity.path), ["echo $UPSTREAM"])).stdout.toString().trim();
  assert.deepEqual(
    [await reach("included"), await reach("whoever"), await reach("default")],
    ["second", "first", "second"],
  );
});

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { once } from "node:events";
import { test } from "node:test";
import { parseHostPort } from "#base";
import { startDemoUpstream } from "#serve";
import { formatPrivateKey, formatPublicKey, generatePrivateKey } from "#ssh/keys";
import { FakeClient } from "#test/support/login-ends";
import { tempDir, type TempDir } from "#test/support/temp-dir";
import { until } from "#test/support/waiting";
import type { Running } from "./running.ts";
import { serve } from "./serve.ts";

interface Served extends AsyncDisposable {
  readonly folder: TempDir;
  readonly running: Running;
  /** Resolves with the exit code. */
  readonly ended: Promise<number>;
  /** Where it listens now. */
  addresses(): Promise<readonly string[]>;
  write(rules: string, more?: string): void;
  /** What a login by this name comes to. */
  login(user: string, password: string): Promise<string>;
  client(): Promise<FakeClient>;
  log(): string;
}

/** A gateway in this process, its upstream the demo's. */
async function served(): Promise<Served> {
  const folder = await tempDir();
  const upstreamKey = generatePrivateKey("ssh-ed25519");
  const upstream = await startDemoUpstream({
    listen: { host: "127.0.0.1", port: 0 },
    hostKey: upstreamKey,
    users: { ada: "right" },
  });
  writeFileSync(folder.at("host_key"), await formatPrivateKey(generatePrivateKey("ssh-ed25519")), {
    mode: 0o600,
  });
  const write = (rules: string, more = ""): void => {
    const text = `listen: ["127.0.0.1:0"]
hostKeys: [host_key]
stateDir: state
log: { level: debug, format: json, file: log }
limits: { failureDelaySeconds: 0.05 }
${more}
rules:
${rules}`;
    writeFileSync(folder.at("postern.yaml"), text, { mode: 0o600 });
  };
  const rule = `  - name: ada
    match: { user: ada }
    login: [{ kind: password, check: upstream }]
    upstream:
      host: 127.0.0.1
      port: ${upstream.port}
      credentials: [{ kind: client-password }]
      hostKey: { keys: ["${formatPublicKey(upstreamKey.publicKey.blob)}"] }
`;
  write(rule);
  const ready = Promise.withResolvers<Running>();
  const ended = serve({
    configFile: folder.at("postern.yaml"),
    environment: {},
    signals: false,
    ready: (running) => ready.resolve(running),
  });
  ended.catch(ready.reject);
  const running = await ready.promise;
  const clients: FakeClient[] = [];
  const addresses = async (): Promise<readonly string[]> => (await running.status()).listening;
  const client = async (): Promise<FakeClient> => {
    const socket = connect(parseHostPort((await addresses())[0] ?? ""));
    await once(socket, "connect");
    const made = new FakeClient(socket.pause());
    clients.push(made);
    return made;
  };
  return {
    folder,
    running,
    ended,
    addresses,
    client,
    write: (rules, more) => write(rules.replaceAll("RULE", rule), more),
    login: async (user, password) => {
      const made = await client();
      const outcome = await made.password(await made.start(user), password);
      made.link.disconnect(11, "");
      return outcome;
    },
    log: () => readFileSync(folder.at("log"), "utf8"),
    [Symbol.asyncDispose]: async () => {
      for (const each of clients) each.link.destroy();
      running.stop();
      running.stop();
      await ended.catch(() => {});
      await upstream[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}

test("a gateway serves, tells how it is, and stops when the last session has ended", async () => {
  await using gateway = await served();
  assert.equal(await gateway.login("ada", "right"), "success");
  assert.equal(await gateway.login("ada", "wrong"), "failure: password");
  const client = await gateway.client();
  assert.equal(await client.password(await client.start("ada"), "right"), "success");
  const reply = await gateway.running.control({ command: "status" });
  assert.match(
    String(reply["text"]),
    /listening: 127\.0\.0\.1:[0-9]+\n.*\n.*ada from 127\.0\.0\.1:[0-9]+ to ada@127\.0\.0\.1/s,
  );
  const { sessions } = await gateway.running.status();
  assert.deepEqual(
    sessions.filter(({ phase }) => phase === "open").map(({ user, rule }) => [user, rule]),
    [["ada", "ada"]],
  );
  gateway.running.stop();
  const late = connect(parseHostPort((await gateway.addresses())[0] ?? "127.0.0.1:1"));
  await assert.rejects(once(late, "connect"));
  client.link.disconnect(11, "done");
  assert.equal(await gateway.ended, 0);
  assert.match(gateway.log(), /"event":"stopped"/);
});

test("a second stop ends who is still in, with words", async () => {
  await using gateway = await served();
  const client = await gateway.client();
  assert.equal(await client.password(await client.start("ada"), "right"), "success");
  gateway.running.stop();
  gateway.running.stop();
  assert.match((await client.closed).description ?? "", /shutting down/);
  assert.equal(await gateway.ended, 0);
});

test("a reload changes what comes, never what is; a broken file changes nothing", async () => {
  await using gateway = await served();
  const client = await gateway.client();
  assert.equal(await client.password(await client.start("ada"), "right"), "success");
  const before = await gateway.addresses();

  gateway.write("  - {}\n");
  const broken = await gateway.running.reload();
  assert.equal(broken.ok, false);
  assert.match(broken.ok ? "" : broken.problem, /postern\.yaml:[0-9]+/);
  assert.equal(await gateway.login("ada", "right"), "success");

  gateway.write("  []\n");
  const emptied = await gateway.running.reload();
  assert.deepEqual(emptied.ok && emptied.changed, ["rules"]);
  assert.equal(await gateway.login("ada", "right"), "failure: publickey,password");
  assert.deepEqual(await gateway.addresses(), before, "a listener that stays goes on undisturbed");

  gateway.write("RULE", "workers: 2");
  const back = await gateway.running.reload();
  assert.deepEqual(back.ok && back.needRestart, ["workers"]);
  assert.equal(await gateway.login("ada", "right"), "success");
  const open = (await gateway.running.status()).sessions.filter(({ phase }) => phase === "open");
  assert.ok(open.length >= 1, "the first session is still there");
  client.link.disconnect(11, "");
});

test("an address that cannot be had stops the reload, and nothing of it stays", async () => {
  await using gateway = await served();
  await using other = await served();
  const before = await gateway.addresses();
  const taken = (await other.addresses())[0] ?? "";
  gateway.write("  []\n");
  const file = gateway.folder.at("postern.yaml");
  writeFileSync(file, readFileSync(file, "utf8").replace("127.0.0.1:0", taken));
  const outcome = await gateway.running.reload();
  assert.match(outcome.ok ? "" : outcome.problem, new RegExp(taken.replaceAll(".", "\\.")));
  assert.deepEqual(await gateway.addresses(), before);
  assert.equal(await gateway.login("ada", "right"), "success", "the old rules too");
});

test("two gateways do not share a state directory", async () => {
  await using gateway = await served();
  const again = serve({ configFile: gateway.folder.at("postern.yaml"), environment: {}, signals: false });
  await assert.rejects(again, { code: "OPERATOR_CONTROL_TAKEN" });
  assert.equal(await gateway.login("ada", "right"), "success");
});

test("the log level changes at once; what is no level is refused", async () => {
  await using gateway = await served();
  const reply = await gateway.running.control({ command: "log-level", level: "error" });
  assert.equal(reply["level"], "error");
  await gateway.login("ada", "wrong");
  await gateway.running.control({ command: "log-level", level: "info" });
  await gateway.login("ada", "wrong");
  const denials = (): number => gateway.log().split("auth-denied").length - 1;
  await until("a line about it", () => denials() > 0);
  assert.equal(denials(), 1, "the first is not in the log");
  await assert.rejects(gateway.running.control({ command: "log-level", level: "loud" }), {
    code: "OPERATOR_CONTROL_REQUEST",
  });
  await assert.rejects(gateway.running.control({ command: "dance" }), { code: "OPERATOR_CONTROL_REQUEST" });
});

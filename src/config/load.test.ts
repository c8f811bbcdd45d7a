import { type Endpoint, Secret } from "#base";
import { tempDir, type TempDir } from "#test/support/temp-dir";
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { ConfigInvalid } from "./errors.ts";
import { loadConfig, type Loaded, parseConfig, readControlPath } from "./load.ts";
import { formatProblem } from "./problem.ts";
import type { Config } from "./schema.ts";

function rule(name: string, more = ""): string {
  return `
  - name: ${name}
    match: { user: ${name} }
    login: [{ kind: password, check: upstream }]
    upstream:
      host: ${name}.example.lan
      credentials: [{ kind: client-password }]
      hostKey: { acceptNew: known_hosts }
${more}`;
}

async function load(folder: TempDir, environment: Record<string, string> = {}): Promise<Loaded> {
  return await loadConfig(folder.at("postern.yaml"), { environment });
}

async function folderWith(files: Readonly<Record<string, string>>): Promise<TempDir> {
  const folder = await tempDir();
  mkdirSync(folder.at("conf.d"));
  for (const [name, text] of Object.entries({ key: "a key", ...files }))
    writeFileSync(folder.at(name), text, { mode: 0o600 });
  return folder;
}

test("a small file gets every default, and paths become absolute", async () => {
  await using folder = await folderWith({
    "postern.yaml": `listen: ["[::1]:2222", "unix:run/ssh.sock"]\nhostKeys: [key]\nrules:${rule("web")}`,
  });
  const { config, warnings } = await load(folder);
  assert.deepEqual(warnings, []);
  assert.deepEqual(endpointsOf(config), [
    { kind: "tcp", host: "::1", port: 2222 },
    { kind: "unix", path: folder.at("run/ssh.sock") },
  ]);
  assert.deepEqual(config.hostKeys, [folder.at("key")]);
  assert.equal(config.stateDir, folder.at("state"));
  assert.equal(config.control, folder.at("state", "control.sock"));
  assert.equal(config.workers, 1);
  assert.deepEqual(config.limits.startups, { start: 10, ratePercent: 30, full: 100 });
  assert.equal(config.limits.loginGraceSeconds, 120);
  assert.deepEqual(config.log, { level: "info", format: "auto" });
  assert.deepEqual(config.keepalive, { intervalSeconds: 30, maxMissed: 3 });
  const [web] = config.rules;
  assert.equal(web?.upstream.hostKey.acceptNew, folder.at("known_hosts"));
  assert.equal(web?.upstream.user.text, "{user}");
  assert.equal(web?.upstream.connectTimeoutMs, 10_000);
  assert.equal(web?.place, `${config.file}:4`);
});

test("a configuration is frozen all through", async () => {
  await using folder = await folderWith({
    "postern.yaml": `listen: [":22"]\nhostKeys: [key]\nrules:${rule("web")}`,
  });
  const { config } = await load(folder);
  for (const part of [
    config,
    config.listen,
    config.limits.startups,
    config.rules,
    config.rules[0]?.upstream.addresses[0],
  ]) {
    assert.equal(Object.isFrozen(part), true);
  }
  assert.throws(() => (config.rules as unknown[]).push(1), TypeError);
});

test("friendly units are read, also where a variable brings them", async () => {
  await using folder = await folderWith({
    "postern.yaml": `
listen: [":\${env:PORT}"]
hostKeys: [key]
workers: \${env:WORKERS}
drain: { limitSeconds: 1h30m }
limits: { rekeyBytes: 256MiB, loginGraceSeconds: "\${env:GRACE}", maxAuthTries: "3\${env:NOTHING}" }
rules:${rule("web", "      dangerouslyAllowSha1: ${env:OLD}\n")}`,
  });
  const { config } = await load(folder, {
    PORT: "2200",
    WORKERS: "4",
    GRACE: "45",
    NOTHING: "",
    OLD: "true",
  });
  assert.deepEqual(endpointsOf(config), [{ kind: "tcp", host: "::", port: 2200 }]);
  assert.equal(config.workers, 4);
  assert.equal(config.drain.limitSeconds, 5400);
  assert.equal(config.limits.rekeyBytes, 2 ** 28);
  assert.equal(config.limits.loginGraceSeconds, 45);
  assert.equal(config.limits.maxAuthTries, 3);
  assert.equal(config.rules[0]?.upstream.dangerouslyAllowSha1, true);
});

test("secrets come from files and variables, and stay secret", async () => {
  await using folder = await folderWith({
    "postern.yaml": `
listen: [":22"]
hostKeys: [key]
rules:
  - name: web
    login: [{ kind: publickey, files: ["keys/{user}"] }]
    upstream:
      host: web.example.lan
      credentials:
        - { kind: password, password: "\${file:password}" }
        - { kind: password, password: "\${env:PW}-$\${env:PW}" }
        - { kind: key, file: key, passphrase: "\${file:password}" }
      hostKey: { acceptNew: known_hosts }`,
    password: "hunter 2\n\n",
  });
  const { config, warnings } = await load(folder, { PW: "0123" });
  assert.deepEqual(warnings, []);
  const [first, second, third] = config.rules[0]?.upstream.credentials ?? [];
  assert.ok(first?.kind === "password" && first.password instanceof Secret);
  assert.equal(first.password.text(), "hunter 2\n", "one line end goes, for editors add one");
  assert.ok(second?.kind === "password");
  assert.equal(second.password.text(), "0123-${env:PW}");
  assert.ok(third?.kind === "key");
  assert.equal(third.passphrase?.text(), "hunter 2\n");
  assert.doesNotMatch(JSON.stringify(config), /hunter|0123/);
  const [login] = config.rules[0]?.login ?? [];
  assert.ok(login?.kind === "publickey");
  assert.deepEqual(
    login.files?.map((file) => file.expand({ user: "ada" })),
    [folder.at("keys/ada")],
  );
});

test("rules stand in the order in which a person reads them, over all files", async () => {
  const files = {
    "conf.d/b.yaml": `rules:${rule("b")}`,
    "conf.d/a.yaml": `rules:${rule("a1")}${rule("a2")}\ninclude: [../deep/*.yaml]`,
    "conf.d/not-yaml.txt": "{",
  };
  const main = `listen: [":22"]\nhostKeys: [key]\n`;
  const names = async (order: string): Promise<string[]> => {
    await using folder = await folderWith(files);
    mkdirSync(folder.at("deep"));
    writeFileSync(folder.at("deep/d.yaml"), `rules:${rule("d")}`);
    writeFileSync(folder.at("postern.yaml"), main + order);
    const { config } = await load(folder);
    assert.equal(config.rules[0]?.upstream.hostKey.acceptNew?.endsWith("known_hosts"), true);
    return config.rules.map(({ name }) => name);
  };
  const own = `rules:${rule("m")}`;
  const include = `include: ["conf.d/*.yaml"]\n`;
  assert.deepEqual(await names(`${include}${own}`), ["a1", "a2", "d", "b", "m"]);
  assert.deepEqual(await names(`${own}\n${include}`), ["m", "a1", "a2", "d", "b"]);
  assert.deepEqual(await names(include), ["a1", "a2", "d", "b"]);
});

test("relative paths begin at the file in which they stand", async () => {
  await using folder = await folderWith({
    "postern.yaml": `listen: [":22"]\nhostKeys: [key]\ninclude: [conf.d/a.yaml]\nrules:${rule("main")}`,
    "conf.d/a.yaml": `rules:${rule("inner")}`,
  });
  const { config } = await load(folder);
  assert.deepEqual(
    config.rules.map(({ upstream }) => upstream.hostKey.acceptNew),
    [folder.at("conf.d/known_hosts"), folder.at("known_hosts")],
  );
});

test("anchors save repetition", async () => {
  await using folder = await folderWith({
    "postern.yaml": `listen: [":22"]\nhostKeys: [key]\nrules:
  - name: a
    match: { user: a }
    login: &login [{ kind: password, check: upstream }]
    upstream: &upstream { host: a, credentials: [{ kind: client-password }], hostKey: { acceptNew: new } }
  - { name: b, match: { user: b }, login: *login, upstream: *upstream }`,
  });
  const { config } = await load(folder);
  assert.equal(config.rules[1]?.upstream.addresses[0]?.host.text, "a");
});

test("addresses may hold captures, ports and brackets", async () => {
  await using folder = await folderWith({
    "postern.yaml": `listen: [":22"]\nhostKeys: [key]\nrules:
  - name: a
    match: { userPattern: '(?<host>[a-z]+)(:(?<port>[0-9]+))?' }
    targets: ["*"]
    login: [{ kind: password, check: upstream }]
    upstream:
      addresses: ["{host}.lan:{port}", "[2001:db8::1]:2222", "plain", "{host}"]
      spread: random
      credentials: [{ kind: client-password }]
      hostKey: { knownHosts: key }`,
  });
  const { config } = await load(folder);
  const written = config.rules[0]?.upstream.addresses.map(({ host, port }) => [host.text, port.text]);
  assert.deepEqual(written, [
    ["{host}.lan", "{port}"],
    ["2001:db8::1", "2222"],
    ["plain", "22"],
    ["{host}", "22"],
  ]);
  assert.deepEqual(config.rules[0]?.upstream.hostKey, { knownHosts: [folder.at("key")] });
});

test("JSON is YAML", async () => {
  await using folder = await folderWith({});
  const text = JSON.stringify({
    listen: [":22"],
    hostKeys: ["key"],
    rules: [
      {
        name: "a",
        login: [{ kind: "password", check: "upstream" }],
        upstream: { host: "a", credentials: [{ kind: "client-password" }], hostKey: { acceptNew: "new" } },
      },
    ],
  });
  const { config } = await parseConfig(text, "<json>", folder.path, { environment: {} });
  assert.equal(config.file, "<json>");
  assert.equal(config.rules[0]?.place, "<json>:1");
});

test("a text in no file can go without its files", async () => {
  const text = `listen: [":0"]\nrules:${rule("web")}`;
  const options = { environment: {}, filesMustExist: false };
  const { config } = await parseConfig(text, "<demo>", "/nowhere", options);
  assert.deepEqual(config.hostKeys, ["/nowhere/state/ssh_host_ed25519_key"]);
  await assert.rejects(parseConfig(text, "<demo>", "/nowhere", { environment: {} }), {
    code: "OPERATOR_CONFIG_INVALID",
  });
});

test("keys that objects have from birth are keys like others", async () => {
  for (const key of ["__proto__", "constructor", "toString"]) {
    const text = `listen: [":22"]\n${key}: { polluted: true }\nlimits: { ${key}: 1 }\nrules:${rule("web")}`;
    await assert.rejects(
      parseConfig(text, "<test>", "/nowhere", { environment: {}, filesMustExist: false }),
      (error: unknown) => {
        assert.ok(error instanceof ConfigInvalid);
        assert.deepEqual(
          error.problems.map((problem) => formatProblem(problem).split(";")[0]),
          [`<test>:2:1: ${key}: unknown key`, `<test>:3:11: limits.${key}: unknown key`],
        );
        return true;
      },
    );
  }
  assert.equal(({} as { polluted?: boolean }).polluted, undefined);
});

test("a file that cannot be read is one plain sentence", async () => {
  await using folder = await folderWith({ "postern.yaml": "x".repeat(5 * 1024 * 1024) });
  const said = async (path: string): Promise<string> => {
    try {
      await loadConfig(path, { environment: {} });
      return "";
    } catch (error) {
      assert.ok(error instanceof ConfigInvalid);
      return error.problems.map(formatProblem).join("\n");
    }
  };
  assert.match(await said(folder.at("none.yaml")), /none\.yaml: there is no file .*none\.yaml$/);
  assert.match(await said(folder.path), /is a directory$/);
  assert.match(await said(folder.at("postern.yaml")), /is larger than 4096 KiB$/);
});

test("aliases that multiply are stopped", async () => {
  const levels = Array.from(
    { length: 12 },
    (_, at) =>
      `a${at}: &a${at} [${Array(10)
        .fill(at === 0 ? "x" : `*a${at - 1}`)
        .join(", ")}]`,
  );
  await assert.rejects(parseConfig(levels.join("\n"), "<bomb>", "/", { environment: {} }), {
    code: "OPERATOR_CONFIG_INVALID",
  });
});

test("nesting that ends the parser's stack is the operator's error", async () => {
  await assert.rejects(parseConfig("[".repeat(100_000), "<deep>", "/", { environment: {} }), {
    code: "OPERATOR_CONFIG_INVALID",
  });
});

test("the control socket is found although the rest of the file is wrong", async () => {
  const cases: [string, string][] = [
    ["ruels: []\nlisten: 3", "state/control.sock"],
    ["stateDir: elsewhere\nx: ${env:NOT_SET}", "elsewhere/control.sock"],
    ["control: run/postern.sock\nhostKeys: [nowhere]", "run/postern.sock"],
  ];
  for (const [text, path] of cases) {
    await using folder = await folderWith({ "postern.yaml": text });
    assert.equal(await readControlPath(folder.at("postern.yaml"), { environment: {} }), folder.at(path));
  }
  for (const text of ["control: ${env:NOT_SET}", "control: [1]", "{", "stateDir:"]) {
    await using folder = await folderWith({ "postern.yaml": text });
    await assert.rejects(readControlPath(folder.at("postern.yaml"), { environment: {} }), {
      code: "OPERATOR_CONFIG_INVALID",
    });
  }
});

test("a listener may be a map that says more", async () => {
  const text = `listen:
  - ":2222"
  - address: "[::1]:2223"
    entries: [ssh, version, http]
    proxyProtocol: { from: [10.0.0.0/8] }
    silentSeconds: 50ms
    versionComment: "@(?<name>.*)"`;
  const { config } = await parseConfig(text, "<test>", "/", { environment: {}, filesMustExist: false });
  const [plain, more] = config.listen;
  assert.deepEqual(plain?.entries, ["ssh"]);
  assert.equal(plain.silentMs, 1500);
  assert.deepEqual(more?.entries, ["ssh", "version", "http"]);
  assert.equal(more.silentMs, 50);
  assert.equal(more.proxyFrom[0]?.text, "10.0.0.0/8");
  assert.equal(more.versionComment.match("@web1")?.["name"], "web1");
  const said = async (listen: string): Promise<string> => {
    try {
      await parseConfig(`listen: [${listen}]`, "<test>", "/", { environment: {}, filesMustExist: false });
      return "";
    } catch (error) {
      assert.ok(error instanceof ConfigInvalid);
      return error.problems.map(formatProblem).join("\n");
    }
  };
  assert.match(await said('{ address: "22" }'), /listen\[0\]\.address: "22": a port stands behind a colon/);
  assert.match(
    await said('{ address: ":22", entry: [ssh] }'),
    /listen\[0\]\.entry: unknown key; known here: address, entries/,
  );
  assert.match(
    await said('{ address: ":22", entries: [ftp] }'),
    /listen\[0\]\.entries\[0\]: "ftp" is not one of ssh,/,
  );
  assert.match(await said('{ address: ":22", versionComment: "x" }'), /must have a group \(\?<name>…\)/);
  assert.match(await said("3"), /listen\[0\]: /);
});

function endpointsOf({ listen }: Config): readonly Endpoint[] {
  return listen.map(({ endpoint }) => endpoint);
}

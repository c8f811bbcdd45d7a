import type { App, ExplainQuery } from "#app";
import { PosternError, version } from "#base";
import { tempDir, type TempDir } from "#test/support/temp-dir";
import assert from "node:assert/strict";
import { chmodSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { Readable, Writable } from "node:stream";
import { test } from "node:test";
import type { CliContext } from "./context.ts";
import { run } from "./run.ts";

class Heard extends Writable {
  text = "";
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString();
    done();
  }
}

const unused = async (): Promise<never> => {
  throw new Error("not used here");
};

const silentApp: App = {
  authority: {
    init: unused,
    show: unused,
    rotate: unused,
    finishRotation: unused,
    signHostKeys: unused,
  },
  users: { change: unused, list: unused, forgive: unused },
  openDevices: unused,
  deviceSetUp: unused,
  serve: async () => 0,
  demo: async () => 0,
  check: async () => [],
  callbacks: () => [],
  explain: async () => ({ rules: [] }),
  explainName: async () => ({ rules: [] }),
};

interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

interface Surroundings {
  readonly app?: Partial<App>;
  readonly stdin?: string;
  readonly environment?: CliContext["environment"];
}

async function postern(
  args: readonly string[],
  { app, stdin = "", environment = {} }: Surroundings = {},
): Promise<Outcome> {
  const stdout = new Heard();
  const stderr = new Heard();
  const code = await run(args, {
    stdin: Readable.from([stdin]),
    stdout,
    stderr,
    environment,
    app: async () => ({ ...silentApp, ...app }),
  });
  return { code, stdout: stdout.text, stderr: stderr.text };
}

const good = `
listen: [":22"]
hostKeys: [key]
rules:
  - name: web
    match: { userPattern: "web(?<id>[0-9]+)" }
    login: [{ kind: password, check: upstream }]
    upstream: { host: "web{id}.lan", credentials: [{ kind: client-password }], hostKey: { acceptNew: new } }
`;

async function folderWith(config: string): Promise<TempDir> {
  const folder = await tempDir();
  writeFileSync(folder.at("key"), "key");
  writeFileSync(folder.at("postern.yaml"), config);
  return folder;
}

test("--version and --help are answers, not failures", async () => {
  assert.deepEqual(await postern(["--version"]), { code: 0, stdout: `${version}\n`, stderr: "" });
  for (const args of [
    ["--help"],
    ["help"],
    ["serve", "--help"],
    ["help", "key"],
    ["key", "generate", "-h"],
  ]) {
    const { code, stdout, stderr } = await postern(args);
    assert.equal(code, 0, args.join(" "));
    assert.match(stdout, /Usage: postern/);
    assert.match(stdout, /Examples:|Commands:/);
    assert.equal(stderr, "");
  }
});

test("the version is that of package.json", () => {
  const { version: packaged } = JSON.parse(
    readFileSync(new URL("../../package.json", import.meta.url), "utf8"),
  ) as { version: string };
  assert.equal(version, packaged);
});

test("a command line that is not understood is told on stderr, with exit code 2", async () => {
  const cases: [string[], RegExp][] = [
    [[], /Usage: postern/],
    [["sevre"], /unknown command 'sevre'[\s\S]*Did you mean serve/],
    [["serve", "--confg", "x"], /unknown option '--confg'[\s\S]*--config/],
    [["explain"], /missing required argument 'user\[@name\]'/],
    [["explain", "web", "--from", "nowhere"], /no IP address/],
    [["explain", "web", "--at", "soon"], /no moment/],
    [["log-level", "loud"], /Allowed choices are trace, debug/],
    [["key", "generate", "x", "-t", "dsa"], /Allowed choices are ed25519/],
    [["reload", "extra"], /too many arguments/],
    [["completion", "tcsh"], /Allowed choices are bash, zsh, fish/],
    [["key"], /Usage: postern key/],
  ];
  for (const [args, message] of cases) {
    const { code, stdout, stderr } = await postern(args);
    assert.equal(code, 2, args.join(" "));
    assert.match(stderr, message);
    assert.equal(stdout, "");
  }
});

test("check: good, with warnings, and every problem on its own line", async () => {
  await using folder = await folderWith(good);
  const file = folder.at("postern.yaml");
  assert.deepEqual(await postern(["check", "-c", file]), {
    code: 0,
    stdout: `${file}: good, 1 rule\n`,
    stderr: "",
  });
  // A splice is a rule as well.
  const splice = "  - { name: pipe, mode: splice, match: { from: [10.0.0.0/8] }, targets: [web1] }\n";
  writeFileSync(file, `${good}${splice}targets: [{ name: web1, names: [web1], host: web1 }]\n`);
  assert.match((await postern(["check", "-c", file])).stdout, /good, 2 rules/);
  writeFileSync(file, good.replace("acceptNew: new", "dangerouslyAcceptAny: true"));
  const warned = await postern(["check", "-c", file]);
  assert.equal(warned.code, 0);
  assert.match(warned.stdout, /good, 1 rule, 1 warning/);
  assert.match(warned.stderr, /postern\.yaml:8:\d+: warning: rules\[0\]/);
  writeFileSync(file, good.replace("listen", "lisen").replace("host:", "hots:"));
  const bad = await postern(["check", "-c", file]);
  assert.equal(bad.code, 1);
  assert.equal(bad.stdout, "");
  assert.match(bad.stderr, /^[^\n]*postern\.yaml:2:1: lisen: unknown key; did you mean "listen"\?$/m);
  assert.match(
    bad.stderr,
    /^[^\n]*postern\.yaml:8:17: rules\[0\]\.upstream\.hots: unknown key; did you mean "host"\?$/m,
  );
});

test("check: what only the making finds is a problem as well", async () => {
  await using folder = await folderWith(good);
  const problem = { severity: "error", file: "key", line: 0, column: 0, text: "is no key" } as const;
  const outcome = await postern(["check", "-c", folder.at("postern.yaml")], {
    app: { check: async () => [problem] },
  });
  assert.deepEqual(outcome, { code: 1, stdout: "", stderr: "key: is no key\n" });
});

test("explain: rules with reasons and places, and where the session goes", async () => {
  await using folder = await folderWith(good);
  const asked: ExplainQuery[] = [];
  const app: Partial<App> = {
    explain: async (_config, query) => {
      asked.push(query);
      return query.user === "root"
        ? { rules: [{ rule: "web", outcome: "skipped", reason: "the name does not match" }] }
        : {
            rules: [{ rule: "web", outcome: "matched", reason: "the name matches" }],
            login: [["publickey", "password"], ["totp"]],
            upstream: { user: "web1", addresses: ["a:22", "b:22"] },
          };
    },
  };
  const args = [
    "explain",
    "-c",
    folder.at("postern.yaml"),
    "--from",
    "::ffff:192.0.2.7",
    "--at",
    "2026-12-31",
  ];
  const found = await postern([...args, "web1@gate.example.com"], { app });
  assert.equal(found.code, 0);
  assert.match(
    found.stdout,
    /^\* web {2}matched: the name matches \(.*postern\.yaml:5\)\nTo log in: publickey or password, then totp\.\nThe session goes to a:22, then b:22 as web1\.\n$/,
  );
  const none = await postern([...args, "root"], { app });
  assert.equal(none.code, 1);
  assert.match(none.stdout, /^- web {2}skipped: .*\nNobody goes anywhere by that name/);
  assert.deepEqual(asked, [
    { user: "web1", from: "192.0.2.7", nowMs: Date.UTC(2026, 11, 31), target: undefined },
    { user: "root", from: "192.0.2.7", nowMs: Date.UTC(2026, 11, 31), target: undefined },
  ]);
});

test("explain @NAME: the target, the rules, and where the bytes go", async () => {
  const rule =
    "{ name: office, mode: splice, match: { from: [10.0.0.0/8], entries: [tls] }, targets: [web1] }";
  const target = "{ name: web1, names: [web1.gate.example], host: a.example.lan, port: 2222 }";
  await using folder = await folderWith(
    `listen: [":2222"]\nhostKeys: [key]\ntargets: [${target}]\nrules: [${rule}]\n`,
  );
  const { app } = await import("#app");
  const ask = async (...args: string[]): Promise<Outcome> =>
    await postern(["explain", "-c", folder.at("postern.yaml"), ...args], { app });
  const found = await ask("@Web1.gate.example", "--from", "10.1.1.1", "--entry", "tls");
  assert.equal(found.code, 0);
  assert.match(
    found.stdout,
    /^The name stands for the target "web1"\.\n\* office {2}matched: .*\(.*postern\.yaml:4\)\nBytes go unopened to a\.example\.lan:2222\.\n$/,
  );
  const refused = await ask("@web1", "--from", "10.1.1.1");
  assert.equal(refused.code, 1);
  assert.match(refused.stdout, /- office {2}skipped: it takes tls, not version .*\nNobody gets anywhere/);
  assert.match((await ask("@web2")).stdout, /^No target goes by that name\.\nNobody gets anywhere/);
});

test("serve and demo end with the app's exit code", async () => {
  const environment = { A: "1" };
  const seen: unknown[] = [];
  const app: Partial<App> = {
    serve: async (options) => {
      seen.push(options);
      return 3;
    },
    demo: async () => 4,
  };
  assert.equal((await postern(["serve"], { app, environment })).code, 3);
  assert.equal((await postern(["serve", "-c", "x.yaml"], { app, environment })).code, 3);
  assert.equal((await postern(["demo"], { app })).code, 4);
  assert.deepEqual(seen, [
    { configFile: "/etc/postern/postern.yaml", environment },
    { configFile: "x.yaml", environment },
  ]);
});

test("an error is one sentence; a stack comes only with --debug", async () => {
  await using folder = await folderWith("listen: 3");
  const broken = await postern(["explain", "-c", folder.at("postern.yaml"), "x"]);
  assert.equal(broken.code, 78);
  assert.match(broken.stderr, /^.*postern\.yaml:1:9: listen: expected a list/);
  const row = { user: "u", operator: "it went wrong" };
  const throwing = (error: Error): Surroundings => ({
    app: {
      serve: async () => {
        throw error;
      },
    },
  });
  const known = throwing(new PosternError("OPERATOR_X", row, "the port is taken"));
  assert.deepEqual(await postern(["serve"], known), {
    code: 1,
    stdout: "",
    stderr: "postern: it went wrong (the port is taken)\n",
  });
  assert.match((await postern(["--debug", "serve"], known)).stderr, /run\.test\.ts/);
  const hopeless = throwing(new PosternError("OPERATOR_HOST_KEY_MISSING", row, "/key"));
  assert.equal((await postern(["serve"], hopeless)).code, 78);
  const bug = throwing(new TypeError("x is not a function"));
  const { code, stderr } = await postern(["serve"], bug);
  assert.equal(code, 1);
  assert.match(stderr, /^postern: x is not a function\nWith --debug/);
  assert.doesNotMatch(stderr, / at /);
});

test("key generate makes a pair that key fingerprint knows, and overwrites nothing", async () => {
  await using folder = await tempDir();
  const file = folder.at("deep/id");
  const made = await postern(["key", "generate", file, "-C", "test"]);
  assert.equal(made.code, 0, made.stderr);
  assert.match(made.stdout, /^SHA256:\S{43} test \(ssh-ed25519\)\n$/);
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.match(readFileSync(`${file}.pub`, "utf8"), /^ssh-ed25519 \S+ test\n$/);
  for (const each of [file, `${file}.pub`]) {
    assert.equal((await postern(["key", "fingerprint", each])).stdout, made.stdout);
  }
  const again = await postern(["key", "generate", file]);
  assert.equal(again.code, 1);
  assert.match(again.stderr, /is there already; --force replaces it/);
  const forced = await postern(["key", "generate", file, "--force", "-t", "ecdsa-384"]);
  assert.equal(forced.code, 0);
  assert.match(forced.stdout, /ecdsa-sha2-nistp384/);
});

test("key generate does not write through a link", async () => {
  await using folder = await tempDir();
  writeFileSync(folder.at("victim"), "precious");
  symlinkSync(folder.at("victim"), folder.at("id"));
  assert.equal((await postern(["key", "generate", folder.at("id")])).code, 1);
  assert.equal((await postern(["key", "generate", folder.at("id"), "--force"])).code, 0);
  assert.equal(readFileSync(folder.at("victim"), "utf8"), "precious");
});

test("key generate encrypts with a passphrase from stdin", async () => {
  await using folder = await tempDir();
  const file = folder.at("id");
  const made = await postern(["key", "generate", file, "-p", "-C", "c"], { stdin: "open sesame\nnot this" });
  assert.equal(made.code, 0, made.stderr);
  const right = await postern(["key", "fingerprint", file], { stdin: "open sesame\n" });
  assert.equal(right.stdout, made.stdout);
  const wrong = await postern(["key", "fingerprint", file], { stdin: "other\n" });
  assert.deepEqual([wrong.code, wrong.stdout], [1, ""]);
  assert.equal(
    (await postern(["key", "generate", `${file}2`, "-p"], { stdin: "" })).code,
    1,
    "an empty passphrase",
  );
});

test("key fingerprint reads known_hosts and authorized_keys", async () => {
  await using folder = await tempDir();
  await postern(["key", "generate", folder.at("id"), "-C", "c"]);
  const [type, blob] = readFileSync(folder.at("id.pub"), "utf8").split(" ");
  writeFileSync(
    folder.at("keys"),
    `# comment\n\n[gate]:22 ${type} ${blob}\n@cert-authority *.lan ${type} ${blob} ca\nno-pty,command="a b" ${type} ${blob} ada\nnonsense\n`,
  );
  const { code, stdout } = await postern(["key", "fingerprint", folder.at("keys")]);
  assert.equal(code, 0);
  const lines = stdout.trim().split("\n");
  assert.deepEqual(
    lines.map((line) => line.split(" ").slice(1).join(" ")),
    ["[gate]:22 (ssh-ed25519)", "ca (ssh-ed25519)", "ada (ssh-ed25519)"],
  );
  writeFileSync(folder.at("keys"), "nonsense\n");
  assert.match((await postern(["key", "fingerprint", folder.at("keys")])).stderr, /holds no key/);
  assert.match((await postern(["key", "fingerprint", folder.at("none")])).stderr, /there is no file/);
});

test("key hash-password reads stdin and prints a hash, never the password", async () => {
  const { code, stdout, stderr } = await postern(["key", "hash-password"], { stdin: "hunter2\n" });
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^\$scrypt\$\S+\n$/);
  assert.doesNotMatch(stdout + stderr, /hunter2/);
  const empty = await postern(["key", "hash-password"], { stdin: "\n" });
  assert.deepEqual([empty.code, empty.stderr], [1, "postern: the password is empty\n"]);
  const long = await postern(["key", "hash-password"], { stdin: "x".repeat(5000) });
  assert.equal(long.code, 1);
});

/** A gateway's control socket that answers each request line by `answer`. */
async function controlSocket(
  folder: TempDir,
  answer: (request: unknown) => string,
): Promise<AsyncDisposable & { path: string }> {
  const path = folder.at("control.sock");
  const server = createServer((socket) => {
    socket.once("data", (line) => socket.end(answer(JSON.parse(line.toString()))));
  });
  await new Promise<void>((resolve) => {
    server.listen(path, resolve);
  });
  return {
    path,
    [Symbol.asyncDispose]: async () => {
      await new Promise((resolve) => {
        server.close(resolve);
      });
    },
  };
}

test("reload, status and log-level ask the running gateway", async () => {
  await using folder = await folderWith("control: control.sock\nruels: []\n");
  await using control = await controlSocket(
    folder,
    (request) => `${JSON.stringify({ ok: true, text: JSON.stringify(request), uptime: 3 })}\n`,
  );
  for (const where of [
    ["--control", control.path],
    ["-c", folder.at("postern.yaml")],
  ]) {
    assert.deepEqual(await postern(["reload", ...where]), {
      code: 0,
      stdout: '{"command":"reload"}\n',
      stderr: "",
    });
  }
  const level = await postern(["log-level", "debug", "--control", control.path]);
  assert.equal(level.stdout, '{"command":"log-level","level":"debug"}\n');
  const status = await postern(["status", "--json", "--control", control.path]);
  assert.deepEqual(JSON.parse(status.stdout), { ok: true, text: '{"command":"status"}', uptime: 3 });
});

test("a gateway's refusal is a failure, with its words", async () => {
  await using folder = await tempDir();
  await using control = await controlSocket(
    folder,
    () => `${JSON.stringify({ ok: false, text: "postern.yaml:1:1: wrong" })}\n`,
  );
  const outcome = await postern(["reload", "--control", control.path]);
  assert.deepEqual(outcome, { code: 1, stdout: "", stderr: "postern: postern.yaml:1:1: wrong\n" });
});

test("a control socket without a gateway is one plain sentence", async () => {
  await using folder = await tempDir();
  const path = folder.at("control.sock");
  assert.match(
    (await postern(["status", "--control", path])).stderr,
    /^postern: no gateway is running with the control socket .*; name another/,
  );
  for (const nonsense of ["", "hello\n", "[]\n", "{}\n"]) {
    await using control = await controlSocket(folder, () => nonsense);
    const { code, stderr } = await postern(["status", "--control", control.path]);
    assert.equal(code, 1);
    assert.match(stderr, /^postern: .*(without an answer|is no gateway)/);
  }
  writeFileSync(folder.at("file"), "");
  chmodSync(folder.at("file"), 0o600);
  assert.match(
    (await postern(["status", "--control", folder.at("file")])).stderr,
    /^postern: no gateway is running/,
  );
});

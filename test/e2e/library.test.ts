/** The library: its examples run, from the source and as other projects would have it, with types. */
import assert from "node:assert/strict";
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { userInfo } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Child, run, succeed } from "#test/support/child";
import { startClientLab } from "#test/support/client-lab";
import { answerAfterEnd, startListener } from "#test/support/echo-server";
import { repository } from "#test/support/gateway";
import { runSsh } from "#test/support/ssh";
import { missing } from "#test/support/strangers";
import { tempDir } from "#test/support/temp-dir";
import { makeKey } from "#test/support/test-keys";
import { writeFile } from "node:fs/promises";

const skip = missing("ssh", "sshd");
const examples = join(repository, "examples", "library");
const me = userInfo().username;

/** An example by the source of this tree. */
function example(name: string, words: readonly string[], env: Record<string, string> = {}): Child {
  return new Child(process.execPath, ["--conditions=postern-source", join(examples, name), ...words], {
    env,
  });
}

test("command.ts runs a command with the settings of ssh_config", { skip }, async () => {
  await using lab = await startClientLab();
  const lines = [
    "Host there",
    "  HostName 127.0.0.1",
    `  Port ${lab.sshd.port}`,
    `  User ${me}`,
    `  IdentityFile ${lab.key.path}`,
    `  UserKnownHostsFile ${lab.sshd.knownHosts}`,
  ];
  mkdirSync(lab.folder.at(".ssh"), { mode: 0o700 });
  await writeFile(lab.folder.at(".ssh", "config"), `${lines.join("\n")}\n`);
  await using child = example("command.ts", ["there", "echo hello; exit 3"], {
    HOME: lab.folder.path,
    SSH_AUTH_SOCK: "",
  });
  const { code, stdout, stderr } = await child.outcome();
  assert.equal(stdout.toString(), "hello\n", stderr);
  assert.equal(code, 3);
});

test("tunnel.ts forwards a port, and opens a stream without one", { skip }, async () => {
  await using lab = await startClientLab();
  await using target = await startListener(answerAfterEnd);
  const words = ["127.0.0.1", String(lab.sshd.port), me, lab.key.path, lab.sshd.knownHosts];
  await using child = example("tunnel.ts", [...words, `127.0.0.1:${target.port}`]);
  const { code, stdout, stderr } = await child.outcome();
  assert.match(stdout.toString(), /^listening on 127\.0\.0\.1:\d+$/m, stderr);
  assert.match(stdout.toString(), /^the target says 5 /m);
  assert.equal(code, 0);
});

test("server.ts lets one key in, and ssh hears its answer", { skip }, async () => {
  await using folder = await tempDir();
  const key = makeKey(folder.at("id"), "ed25519");
  const other = makeKey(folder.at("other"), "ed25519");
  await using child = example("server.ts", [key.publicLine]);
  const [, port] = await child.waitForStdout(/port: (\d+)/);
  const target = { host: "127.0.0.1", port: Number(port), user: "anybody", knownHosts: "/dev/null" };
  const options = { options: ["StrictHostKeyChecking=no"] };
  const heard = await runSsh({ ...target, identity: key.path }, ["good morning"], options);
  assert.equal(heard.stdout.toString(), "you said: good morning\n", heard.stderr);
  assert.equal(heard.code, 0);
  const refused = await runSsh({ ...target, identity: other.path }, ["good morning"], options);
  assert.match(refused.stderr, /Permission denied \(publickey\)/);
});

test("another project has it from a build, typed", { timeout: 200_000 }, async () => {
  await using folder = await tempDir();
  const installed = folder.at("node_modules", "postern");
  mkdirSync(installed, { recursive: true });
  await succeed(process.execPath, [join(repository, "tools", "build.ts"), join(installed, "dist")], {
    deadlineMs: 120_000,
  });
  cpSync(join(repository, "package.json"), join(installed, "package.json"));
  const { dependencies } = JSON.parse(readFileSync(join(installed, "package.json"), "utf8")) as {
    dependencies: Record<string, string>;
  };
  for (const name of [...Object.keys(dependencies), "@types/node", "@types/ws", "undici-types"]) {
    const to = folder.at("node_modules", name);
    mkdirSync(join(to, ".."), { recursive: true });
    symlinkSync(join(repository, "node_modules", name), to);
  }
  writeFileSync(folder.at("package.json"), '{ "type": "module" }');
  for (const name of ["command.ts", "tunnel.ts", "server.ts"]) cpSync(join(examples, name), folder.at(name));
  writeFileSync(folder.at("wrong.ts"), 'import { connect } from "postern";\nawait connect({ host: 5 });\n');
  const tsc = (...files: string[]): ReturnType<typeof run> =>
    run(
      process.execPath,
      [
        join(repository, "node_modules", "typescript", "bin", "tsc"),
        "--noEmit",
        "--strict",
        "--module",
        "nodenext",
        "--target",
        "es2024",
        "--lib",
        "es2024,esnext.disposable",
        "--types",
        "node",
        "--skipLibCheck",
        ...files,
      ],
      { cwd: folder.path },
    );
  const right = await tsc("command.ts", "tunnel.ts", "server.ts");
  assert.equal(right.code, 0, right.stdout.toString());
  const wrong = await tsc("wrong.ts");
  assert.match(wrong.stdout.toString(), /wrong\.ts\(2,.*number.*string/);
  const { code, stderr } = await run(process.execPath, ["command.ts", "nobody@127.0.0.1:1"], {
    cwd: folder.path,
    env: { HOME: folder.path },
  });
  assert.match(stderr, /Cannot connect to 127\.0\.0\.1 port 1: connection refused/);
  assert.equal(code, 1);
});

test("docs/library.md shows the examples as they are", async () => {
  const page = await readFile(join(repository, "docs", "library.md"), "utf8");
  for (const name of ["command.ts", "tunnel.ts", "server.ts"]) {
    const text = await readFile(join(examples, name), "utf8");
    assert.ok(page.includes(`\`\`\`ts\n${text}\`\`\``), `${name} stands otherwise in docs/library.md`);
  }
});

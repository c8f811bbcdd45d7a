import { loadConfig } from "#config";
import { tempDir, type TempDir } from "#test/support/temp-dir";
import assert from "node:assert/strict";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { PassThrough, Readable } from "node:stream";
import { test } from "node:test";
import { run } from "./run.ts";

async function postern(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const stdout = new PassThrough();
  const stderr = new PassThrough();
  const app = async (): Promise<never> => {
    throw new Error("nobody needs the app");
  };
  const code = await run(["import", ...args], {
    stdin: Readable.from([]),
    stdout,
    stderr,
    environment: {},
    app,
  });
  const heard = async (output: PassThrough): Promise<string> => (await output.end().toArray()).join("");
  return { code, stdout: await heard(stdout), stderr: await heard(stderr) };
}

async function folderWith(servers: string): Promise<TempDir> {
  const folder = await tempDir();
  writeFileSync(folder.at("key"), "key");
  writeFileSync(folder.at("config.py"), `listen = '0.0.0.0:2200'\nkey = 'key'\nservers = [${servers}]\n`);
  return folder;
}

const simple = "{'user': 'ada', 'upstream_host': 'ada.lan'}";
const secret =
  "{'user': 'bob', 'upstream_host': 'b.lan', 'password': 'hunter2', 'upstream_password': 'hunter3'}";
const anyHost = "{'user': r'^(?P<host>.+)%x$', 'upstream_host': r'\\g<host>'}";
const keyed = "{'user': 'key', 'upstream_host': 'k.lan', 'upstream_key': 'id'}";

test("import writes to stdout, and says how much", async () => {
  await using folder = await folderWith(simple);
  const { code, stdout, stderr } = await postern("pysshrp", folder.at("config.py"));
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^ {2}- name: ada$/m);
  assert.equal(stderr, "stdout: 1 rule\n");
});

test("--state-dir is the folder that was typed, wherever the result goes", async () => {
  await using folder = await folderWith(simple);
  const here = relative(process.cwd(), folder.at("gate", "state"));
  const stateDirOf = (text: string): string => /^stateDir: (.*)$/m.exec(text)?.[1] ?? "";
  const told = async (...flags: string[]): Promise<string> => {
    const { code, stdout, stderr } = await postern("pysshrp", folder.at("config.py"), ...flags);
    assert.equal(code, 0, stderr);
    return stateDirOf(stdout);
  };
  assert.equal(await told(), "state");
  assert.equal(await told("--state-dir", here), folder.at("gate", "state"));
  assert.equal(await told("--state-dir", "/var/lib/postern"), "/var/lib/postern");
  const written = async (place: string, ...flags: string[]): Promise<string> => {
    const output = folder.at(...place.split("/"), "postern.yaml");
    await told("-f", "-o", output, ...flags);
    const { config } = await loadConfig(output, { environment: {} });
    assert.equal(config.stateDir, flags.length === 0 ? join(dirname(output), "state") : resolve(here));
    return stateDirOf(readFileSync(output, "utf8"));
  };
  assert.equal(await written("gate"), "state");
  // Both may be moved together where one is within the other's folder.
  assert.equal(await written("gate", "--state-dir", here), "state");
  assert.equal(await written("etc", "--state-dir", here), folder.at("gate", "state"));
});

test("a password for the upstream needs a file beside the result, and never stands in it", async () => {
  await using folder = await folderWith(`${simple}, ${secret}`);
  const refused = await postern("pysshrp", folder.at("config.py"));
  assert.deepEqual([refused.code, refused.stdout], [1, ""]);
  assert.match(refused.stderr, /config\.py:3:\d+: upstream_password: .*-o FILE/);
  assert.doesNotMatch(refused.stderr, /hunter/);
  const output = folder.at("new/postern.yaml");
  const { code, stdout, stderr } = await postern("pysshrp", folder.at("config.py"), "-o", output);
  assert.deepEqual([code, stdout], [0, ""], stderr);
  assert.match(stderr, /postern\.yaml: 2 rules; look through it, then: postern check -c /);
  const text = readFileSync(output, "utf8");
  assert.doesNotMatch(text, /hunter/);
  assert.match(text, /hashes: \["\$scrypt\$/);
  assert.equal(statSync(output).mode & 0o777, 0o600);
  assert.equal(statSync(folder.at("new/secrets")).mode & 0o777, 0o700);
  assert.equal(statSync(folder.at("new/secrets/bob.password")).mode & 0o777, 0o600);
  const { config, warnings } = await loadConfig(output, { environment: {} });
  assert.deepEqual(warnings, []);
  const [credential] = config.rules[1]?.upstream.credentials ?? [];
  assert.equal(
    credential?.kind === "password" ? Buffer.from(credential.password.reveal()).toString() : "",
    "hunter3",
  );
});

test("nothing is overwritten, nor written through a link, unless asked for", async () => {
  await using folder = await folderWith(secret);
  mkdirSync(folder.at("new"));
  writeFileSync(folder.at("new/victim"), "precious");
  symlinkSync("victim", folder.at("new/postern.yaml"));
  const args = ["pysshrp", folder.at("config.py"), "-o", folder.at("new/postern.yaml")];
  const refused = await postern(...args);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /postern\.yaml is there already; --force replaces it/);
  assert.deepEqual(readdirSync(folder.at("new")).sort(), ["postern.yaml", "victim"]);
  assert.equal((await postern(...args, "--force")).code, 0);
  assert.equal(readFileSync(folder.at("new/victim"), "utf8"), "precious");
  assert.equal((await postern(...args, "--force")).code, 0);
});

test("what cannot be written is taken away again", async () => {
  await using folder = await folderWith(secret);
  mkdirSync(folder.at("new/postern.yaml/x"), { recursive: true });
  const { code } = await postern(
    "pysshrp",
    folder.at("config.py"),
    "-f",
    "-o",
    folder.at("new/postern.yaml"),
  );
  assert.notEqual(code, 0);
  assert.equal(existsSync(folder.at("new/secrets/bob.password")), false);
});

test("a rule that would allow more is disabled, and the exit code says so", async () => {
  await using folder = await folderWith(`${simple}, ${anyHost}, ${keyed}`);
  const { code, stdout, stderr } = await postern("pysshrp", folder.at("config.py"));
  assert.equal(code, 3);
  assert.match(stdout, /# DISABLED: the client could name any host/);
  assert.match(stdout, /kind: publickey, upstreamFile: "\.ssh\/authorized_keys"/);
  assert.match(stderr, /config\.py:3:\d+: warning: rule "[^"]+" is disabled: the client could name any host/);
  assert.match(stderr, /stdout: 3 rules, 1 of them disabled$/m);
  const partial = await postern("pysshrp", folder.at("config.py"), "--partial");
  assert.equal(partial.code, 3, "still not the same");
  assert.match(partial.stderr, /rule "[^"]+" is disabled/, "never what allows more");
});

test("what is wrong is told with its place, and nothing is written", async () => {
  await using folder = await folderWith("{'user': 'ada'}");
  const output = folder.at("postern.yaml");
  const { code, stdout, stderr } = await postern("pysshrp", folder.at("config.py"), "-o", output);
  assert.deepEqual([code, stdout], [1, ""]);
  assert.match(stderr, /config\.py:3:12: upstream_host is missing/);
  assert.equal(existsSync(output), false);
  const missing = await postern("sshpiper", folder.at("nothing.yaml"));
  assert.equal(missing.code, 1);
  assert.match(missing.stderr, /nothing\.yaml: there is no file/);
});

test("sshpiper's file, with what its command line had", async () => {
  await using folder = await tempDir();
  writeFileSync(folder.at("key"), "key");
  writeFileSync(
    folder.at("pipes.yaml"),
    "version: '1.0'\npipes:\n- from: [{ username: ada }]\n  to: { host: 'ada.lan:2200', ignore_hostkey: true }\n",
  );
  const output = folder.at("postern.yaml");
  const { code, stderr } = await postern(
    "sshpiper",
    folder.at("pipes.yaml"),
    "-o",
    output,
    "--listen",
    "[::1]:2222",
    "--host-key",
    folder.at("key"),
    "--state-dir",
    "/var/lib/postern",
  );
  assert.equal(code, 0, stderr);
  const { config } = await loadConfig(output, { environment: {} });
  assert.deepEqual(config.hostKeys, [folder.at("key")]);
  assert.equal(config.stateDir, "/var/lib/postern");
  assert.equal(config.rules[0]?.upstream.hostKey.acceptNew, "/var/lib/postern/known_hosts");
});

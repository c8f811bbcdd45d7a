/** What `postern agent install` writes is accepted by the programs that will read it; the example and the documentation are good files. */
import assert from "node:assert/strict";
import { chmod, copyFile, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { PassThrough, Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { run as runCli } from "#cli";
import { loadFile } from "#config";
import { agentSchema } from "#device-agent";
import { run } from "#test/support/child";
import { programPath } from "#test/support/strangers";
import { tempDir } from "#test/support/temp-dir";

const project = join(import.meta.dirname, "..");
const example = join(project, "examples", "device-agent", "agent.yaml");
const withoutSystemd =
  programPath("systemd-analyze") === undefined ? "systemd is not on this machine" : false;

/** A command line in this process: starting the program takes most of the time. */
async function postern(args: readonly string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const app = async (): Promise<never> => await Promise.reject(new Error("the agent needs no gateway"));
  const context = { stdin: Readable.from([]), stdout, stderr, environment: {}, app };
  const code = await runCli(args, context);
  stdout.end();
  stderr.end();
  return { code, stdout: await text(stdout), stderr: await text(stderr) };
}

test("the example is a good file", async () => {
  const config = await loadFile(example, agentSchema, { environment: {} });
  assert.equal(config.service?.restart.length, 1);
});

test("device-agent.md: files and sections in it are good", async () => {
  const page = await readFile(join(project, "docs", "device-agent.md"), "utf8");
  const blocks = [...page.matchAll(/```yaml\n(.*?)```/gs)].map((match) => match[1] ?? "");
  const [whole = "", section = "", ...more] = blocks;
  assert.deepEqual([whole.startsWith("name:"), section.startsWith("service:"), more.length], [true, true, 0]);
  await using folder = await tempDir();
  const both = `${whole.split("service:")[0]}${section.replace("/usr/local/bin/update-kiosk", "/bin/true")}`;
  for (const file of [whole, both]) {
    await writeFile(folder.at("agent.yaml"), file);
    const { code, stderr } = await postern(["agent", "--check", "-c", folder.at("agent.yaml")]);
    assert.equal(code, 0, stderr);
  }
});

test("install: --dry-run writes nothing; what is there is kept, unless it is the same or forced", async () => {
  await using folder = await tempDir();
  const install = async (...flags: readonly string[]): Promise<{ code: number; said: string }> => {
    const words = ["agent", "install", "-c", example, "--root", folder.at("root"), ...flags];
    const { code, stdout, stderr } = await postern(words);
    return { code, said: `${stdout}${stderr}` };
  };
  const unit = folder.at("root", "etc/systemd/system/postern-agent.service");
  const dry = await install("--dry-run");
  assert.equal(dry.code, 0, dry.said);
  assert.match(dry.said, /^# would write .*postern-agent\.service:$/m);
  assert.match(dry.said, /^ExecStart=\/usr\/local\/bin\/postern agent -c \/.*agent\.yaml$/m);
  await assert.rejects(stat(unit));
  const first = await install();
  assert.equal(first.code, 0, first.said);
  assert.equal(first.said.match(/^wrote /gm)?.length, 3);
  assert.match(first.said, /^ {2}systemctl enable --now postern-agent$/m);
  assert.match((await install()).said, /postern-agent\.service is there already/);
  await writeFile(unit, "my own\n");
  const refused = await install();
  assert.equal(refused.code, 1);
  assert.match(refused.said, /postern-agent\.service is there already; --force replaces it/);
  assert.equal(await readFile(unit, "utf8"), "my own\n");
  assert.equal((await install("--force")).code, 0);
  assert.match(await readFile(unit, "utf8"), /NoNewPrivileges=yes/);
  for (const flags of [
    ["--user", "a b"],
    ["--user", "x\nExecStartPre=/bin/evil"],
    ["--program", "postern"],
    ["--program", "/x\n/y"],
  ])
    assert.equal((await install(...flags)).code, 1, flags.join(" "));
});

test("systemd: the unit and the account are understood", { skip: withoutSystemd }, async () => {
  await using folder = await tempDir();
  await copyFile("/bin/true", folder.at("postern"));
  await chmod(folder.at("postern"), 0o755);
  for (const flags of [[], ["--user", "root"]]) {
    const root = folder.at("root");
    const words = ["-c", example, "--root", root, "--force", "--program", folder.at("postern"), ...flags];
    const { code, stderr } = await postern(["agent", "install", ...words]);
    assert.equal(code, 0, stderr);
    const unit = join(root, "etc/systemd/system/postern-agent.service");
    const verified = await run("systemd-analyze", ["verify", unit]);
    const told = `${verified.stdout.toString("utf8")}${verified.stderr}`;
    assert.equal(verified.code, 0, told);
    assert.deepEqual(
      told.split("\n").filter((line) => line.includes("postern-agent")),
      [],
    );
  }
  if (programPath("systemd-sysusers") === undefined) return;
  const accounts = await run("systemd-sysusers", [
    "--dry-run",
    join(folder.at("root"), "etc/sysusers.d/postern-agent.conf"),
  ]);
  assert.equal(accounts.code, 0, accounts.stderr);
});

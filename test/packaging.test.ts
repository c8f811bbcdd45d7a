/** What packaging/ holds is accepted by the programs that will read it, and names files that exist. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { chmod, copyFile, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { userInfo } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { run } from "#test/support/child";
import { missing, programPath } from "#test/support/strangers";
import { tempDir, type TempDir } from "#test/support/temp-dir";
import { until } from "#test/support/waiting";

const project = new URL("..", import.meta.url).pathname;
const packaging = (...names: string[]): string => join(project, "packaging", ...names);
const text = (...names: string[]): Promise<string> => readFile(packaging(...names), "utf8");

const withoutSystemd =
  programPath("systemd-analyze") === undefined ? "systemd is not on this machine" : false;
const withoutProc = existsSync("/proc/self/cmdline") ? false : "this system has no /proc";

/** Stands in for the gateway: tells what it was asked and sent in a file beside it. */
const fakeGateway = `#!/bin/sh
here=$(dirname "$0")
case $1 in
  check) [ ! -e "$here/broken" ]; exit ;;
  status) [ -e "$here/up" ]; exit ;;
  reload) [ ! -e "$here/broken" ] && kill -HUP "$(cat "$here/pid")"; exit ;;
esac
trap 'echo HUP >>"$here/told"' HUP
trap 'rm -f "$here/up"; echo TERM >>"$here/told"; exit 0' TERM
: >"$here/up"
while :; do sleep 0.05; done
`;

interface InitScript {
  readonly folder: TempDir;
  readonly call: (action: string) => Promise<{ code: number | null; stdout: string; stderr: string }>;
}

/** The init script with its paths in a directory of the test; nothing else in it is changed. */
async function initScript(folder: TempDir): Promise<InitScript> {
  const paths = {
    DAEMON: folder.at("postern"),
    CONFIG: folder.at("postern.yaml"),
    PIDFILE: folder.at("pid"),
    OUTPUT: folder.at("output"),
  };
  const settings = { ...paths, STOP_SECONDS: "100", START_SECONDS: "100", PATH: `${folder.at("bin")}:$PATH` };
  const defaults = Object.entries(settings).map(([name, value]) => `${name}=${value}\n`);
  await writeFile(folder.at("defaults"), defaults.join(""));
  // A second of the script takes a tenth of one here.
  await mkdir(folder.at("bin"));
  await writeFile(folder.at("bin", "sleep"), "#!/bin/sh\nexec /bin/sleep 0.1\n", { mode: 0o755 });
  const source = await text("sysv", "postern");
  assert.ok(source.includes("/etc/default/postern"));
  await writeFile(folder.at("init"), source.replaceAll("/etc/default/postern", folder.at("defaults")));
  await writeFile(paths.DAEMON, fakeGateway);
  await chmod(paths.DAEMON, 0o755);
  const call: InitScript["call"] = async (action) => {
    const { code, stdout, stderr } = await run("/bin/sh", [folder.at("init"), action]);
    return { code, stdout: stdout.toString("utf8"), stderr };
  };
  return { folder, call };
}

test("init script: start, reload, status, restart and stop, with LSB's exit codes", {
  skip: withoutProc,
}, async () => {
  await using folder = await tempDir();
  const { call } = await initScript(folder);
  assert.equal((await call("status")).code, 3, "not running");
  assert.equal((await call("start")).code, 6, "not configured");
  await writeFile(folder.at("postern.yaml"), "");
  try {
    assert.equal((await call("start")).code, 0);
    const pid = await readFile(folder.at("pid"), "utf8");
    assert.equal((await call("start")).code, 0, "running already is no failure");
    assert.equal(await readFile(folder.at("pid"), "utf8"), pid);
    assert.equal((await call("status")).code, 0);
    assert.equal((await call("reload")).code, 0);
    await until("SIGHUP", async () => (await told(folder)).includes("HUP"));
    await writeFile(folder.at("broken"), "");
    assert.equal((await call("reload")).code, 1, "a broken file is not loaded, and that is no success");
    await rm(folder.at("broken"));
    assert.equal((await call("restart")).code, 0);
    assert.notEqual(await readFile(folder.at("pid"), "utf8"), pid);
  } finally {
    assert.equal((await call("stop")).code, 0);
  }
  assert.deepEqual(await told(folder), ["HUP", "TERM", "TERM"]);
  assert.equal((await call("stop")).code, 0, "stopping what is not there is no failure");
  assert.equal((await call("reload")).code, 7, "nothing to reload");
  await writeFile(folder.at("pid"), "999999999\n");
  assert.equal((await call("status")).code, 1, "dead, but its pid file is left");
  await writeFile(folder.at("pid"), `${process.pid}\n`);
  assert.equal((await call("status")).code, 1, "the number belongs to another process now");
  assert.equal((await call("nonsense")).code, 2);
});

test("init script: a gateway that ends at once is reported", { skip: withoutProc }, async () => {
  await using folder = await tempDir();
  const { call } = await initScript(folder);
  await writeFile(folder.at("postern.yaml"), "");
  await writeFile(folder.at("postern"), '#!/bin/sh\n[ "$1" = check ]\n');
  assert.equal((await call("start")).code, 1);
  assert.equal(existsSync(folder.at("pid")), false);
});

async function told(folder: TempDir): Promise<string[]> {
  const lines = await readFile(folder.at("told"), "utf8").catch(() => "");
  return lines.split("\n").filter((line) => line !== "");
}

test("init script: shellcheck has nothing to say", {
  skip: missing("shellcheck"),
}, async () => {
  const { code, stdout } = await run("shellcheck", [packaging("sysv", "postern")]);
  assert.equal(code, 0, stdout.toString("utf8"));
});

test("systemd: the units are understood", { skip: withoutSystemd }, async () => {
  await using folder = await tempDir();
  await copyFile("/bin/true", folder.at("postern"));
  await chmod(folder.at("postern"), 0o755);
  const units = ["postern.service", "postern.socket"];
  for (const unit of units) {
    const source = await text("systemd", unit);
    await writeFile(folder.at(unit), source.replaceAll("/usr/local/bin/postern", folder.at("postern")));
  }
  const { code, stdout, stderr } = await run("systemd-analyze", [
    "verify",
    ...units.map((unit) => folder.at(unit)),
  ]);
  assert.equal(code, 0, stderr);
  // Unknown keys are only warned about.
  const warnings = `${stdout.toString("utf8")}${stderr}`
    .split("\n")
    .filter((line) => line.includes("postern."));
  assert.deepEqual(warnings, []);
});

test("systemd: stopping leaves more time than the packaged configuration drains", async () => {
  const unit = await text("systemd", "postern.service");
  const stopSeconds = Number(/^TimeoutStopSec=(\d+)$/m.exec(unit)?.[1]);
  const config = await readFile(join(project, "examples", "postern.yaml"), "utf8");
  const drainSeconds = Number(/^drain: \{ limitSeconds: (\d+) \}/m.exec(config)?.[1]);
  assert.ok(stopSeconds > drainSeconds, `${stopSeconds} s to stop, ${drainSeconds} s to drain`);
});

test("logrotate: the file is understood", { skip: missing("logrotate") }, async () => {
  await using folder = await tempDir();
  const source = await text("logrotate", "postern");
  await mkdir(folder.at("log"), { mode: 0o750 });
  await writeFile(folder.at("log", "postern.log"), "line\n");
  // The account and the directory exist where Postern is installed; here others stand in.
  const adapted = source
    .replace("/var/log/postern/", `${folder.at("log")}/`)
    .replace(/^\tsu .*\n/m, userInfo().uid === 0 ? "\tsu root root\n" : "");
  await writeFile(folder.at("rotate"), adapted, { mode: 0o644 });
  const { code, stderr } = await run("logrotate", ["-d", "-s", folder.at("state"), folder.at("rotate")]);
  assert.equal(code, 0, stderr);
  assert.doesNotMatch(stderr, /error/i);
  assert.match(stderr, /\(7 rotations\)/);
});

test("Dockerfile: what it copies exists and is not ignored, and it does not run as root", async () => {
  const lines = (await text("docker", "Dockerfile")).split("\n");
  const copied = lines.flatMap((line) => {
    const words = line.split(/\s+/);
    return words[0] === "COPY" && !line.includes("--from=") ? words.slice(1, -1) : [];
  });
  assert.ok(copied.length > 5);
  const admitted = (await text("docker", "Dockerfile.dockerignore")).split("\n");
  for (const path of copied) {
    assert.ok(existsSync(join(project, path)), path);
    assert.ok(admitted.includes(`!${path}`), `${path} is ignored`);
  }
  const last = lines.findLastIndex((line) => line.startsWith("FROM "));
  assert.ok(lines.slice(last).includes("USER postern"));
  const program = /ENTRYPOINT \["node", "\/opt\/postern\/([^"]+)"\]/.exec(lines.join("\n"))?.[1] ?? "";
  assert.ok(existsSync(join(project, program)), program);
});

test("ssh_config example: ssh takes it", { skip: missing("ssh") }, async () => {
  const { code, stdout, stderr } = await run("ssh", [
    "-G",
    "-F",
    packaging("ssh_config.example"),
    "web12.gate",
  ]);
  assert.equal(code, 0, stderr);
  const settings = stdout.toString("utf8").split("\n");
  for (const expected of ["user web12", "hostname gate.example.com", "port 2222"]) {
    assert.ok(settings.includes(expected), expected);
  }
});

/** The tools that run over ssh: scp in both its protocols, rsync, git, Mercurial. */
import assert from "node:assert/strict";
import { after, before } from "node:test";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { bothWays, startBench, type Bench, type Way } from "#test/support/both-ways";
import { run, succeed } from "#test/support/child";
import { sha256, testBytes } from "#test/support/data";
import { runSsh, sshPlace, sshSettings, sshShellCommand } from "#test/support/ssh";
import { missing, type StrangerName } from "#test/support/strangers";

let bench: Bench;
before(async () => {
  if (missing("ssh", "sshd") === false) bench = await startBench({ byAgent: true });
});
after(async () => {
  await bench?.[Symbol.asyncDispose]();
});
const both = (name: string, needs: readonly StrangerName[], check: (way: Way) => Promise<unknown>): void =>
  bothWays(name, () => bench, check, { skip: missing("ssh", "sshd", ...needs), byAgent: true });

/** Names, modes, sizes and times, to the second, of a tree. */
async function listing(path: string): Promise<string> {
  return await succeed("sh", [
    "-c",
    `cd '${path}' && find . -printf '%P %m %s %T@\\n' | sed 's/\\.[0-9]*$//' | sort`,
  ]);
}

for (const [title, flags] of [
  ["scp over sftp", ["-s"]],
  ["scp in its own protocol (-O)", ["-O"]],
] as const) {
  both(`${title}: a tree up and down, with times and modes`, [], async ({ target, folder }) => {
    const up = folder.at("up");
    await mkdir(`${up}/deep/er`, { recursive: true });
    const big = testBytes(5_000_000, 21);
    await writeFile(`${up}/deep/er/big`, big);
    await writeFile(`${up}/a name with spaces`, "spaces", { mode: 0o640 });
    await writeFile(`${up}/empty`, "");
    const place = sshPlace(target);
    const common = [...flags, ...sshSettings(target), "-P", String(target.port), "-r", "-p"];
    await succeed("scp", [...common, up, `${place}:${folder.at("there")}`]);
    await succeed("scp", [...common, `${place}:${folder.at("there")}`, folder.at("back")]);
    assert.equal(sha256(await readFile(folder.at("back", "deep", "er", "big"))), sha256(big));
    await succeed("diff", ["-r", up, folder.at("back")]);
    assert.equal(await listing(folder.at("back")), await listing(up));
    const gone = await run("scp", [...common, `${place}:${folder.at("nothing")}`, folder.at("x")]);
    assert.equal(gone.code, 1);
    assert.match(gone.stderr, /No such file or directory/);
    await runSsh(target, [`rm -r ${folder.at("there")}`]);
  });
}

both("rsync: a tree up, a change, and down again", ["rsync"], async ({ target, folder }) => {
  const up = folder.at("up");
  await mkdir(up);
  const data = testBytes(4_000_000, 31);
  await writeFile(`${up}/big`, data);
  for (let index = 0; index < 50; index += 1) await writeFile(`${up}/small${index}`, `${index}`);
  const common = ["-a", "-e", sshShellCommand(target)];
  const there = `${sshPlace(target)}:${folder.at("there")}/`;
  await succeed("rsync", [...common, `${up}/`, there]);
  data.fill(1, 2_000_000, 2_000_100);
  await writeFile(`${up}/big`, data);
  const changed = await succeed("rsync", [
    ...common,
    "--no-times",
    "--checksum",
    "--out-format=%n",
    `${up}/`,
    there,
  ]);
  assert.equal(changed, "big\n");
  await succeed("rsync", [...common, there, `${folder.at("back")}/`]);
  await succeed("diff", ["-r", up, folder.at("back")]);
  await runSsh(target, [`rm -r ${folder.at("there")}`]);
});

both("git: clone, push, fetch", ["git"], async ({ target, folder }) => {
  const there = folder.at("there.git");
  assert.equal((await runSsh(target, [`git init -q --bare -b main ${there}`])).code, 0);
  const env = {
    GIT_SSH_COMMAND: sshShellCommand(target),
    GIT_CONFIG_GLOBAL: "/dev/null",
    GIT_CONFIG_SYSTEM: "/dev/null",
    GIT_AUTHOR_NAME: "a",
    GIT_AUTHOR_EMAIL: "a@example.org",
    GIT_COMMITTER_NAME: "a",
    GIT_COMMITTER_EMAIL: "a@example.org",
  };
  const url = `ssh://${target.user}@${target.host}:${target.port}${there}`;
  const git = (...args: string[]): Promise<string> => succeed("git", args, { env });
  const one = folder.at("one");
  const two = folder.at("two");
  await git("init", "-q", "-b", "main", one);
  await writeFile(`${one}/big`, testBytes(2_000_000, 41));
  await git("-C", one, "add", "big");
  await git("-C", one, "commit", "-q", "-m", "first");
  await git("-C", one, "push", "-q", url, "main");
  await git("clone", "-q", url, two);
  await writeFile(`${two}/more`, "more\n");
  await git("-C", two, "add", "more");
  await git("-C", two, "commit", "-q", "-m", "second");
  await git("-C", two, "push", "-q");
  await git("-C", one, "pull", "-q", url, "main");
  assert.equal(await git("-C", one, "rev-parse", "HEAD"), await git("-C", two, "rev-parse", "HEAD"));
  await runSsh(target, [`rm -rf ${there}`]);
});

both("hg: clone, push, pull", ["hg"], async ({ target, folder }) => {
  const there = folder.at("there");
  assert.equal((await runSsh(target, [`hg init ${there}`])).code, 0);
  const env = { HGRCPATH: "", HGUSER: "a", HGPLAIN: "1" };
  const url = `ssh://${target.user}@${target.host}:${target.port}/${there}`;
  const remote = ["--config", `ui.ssh=${sshShellCommand(target)}`];
  const hg = (...args: string[]): Promise<string> => succeed("hg", args, { env });
  const one = folder.at("one");
  const two = folder.at("two");
  await hg("init", one);
  await writeFile(`${one}/big`, testBytes(1_000_000, 43));
  await hg("-R", one, "commit", "-A", "-m", "first");
  await hg("-R", one, "push", ...remote, url);
  await hg("clone", ...remote, url, two);
  await writeFile(`${two}/more`, "more\n");
  await hg("-R", two, "commit", "-A", "-m", "second");
  await hg("-R", two, "push", ...remote);
  await hg("-R", one, "pull", "-u", ...remote, url);
  assert.equal(await hg("-R", one, "id", "-i"), await hg("-R", two, "id", "-i"));
  await runSsh(target, [`rm -rf ${there}`]);
});

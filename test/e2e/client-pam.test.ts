/** `postern ssh` and `postern forward` at a real sshd with real PAM: passwords, several proofs, an expired password. */
import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { Child, run, succeed, type Outcome } from "#test/support/child";
import { startListener } from "#test/support/echo-server";
import { program } from "#test/support/gateway";
import { type PamService, startPamService } from "#test/support/pam";
import { descendants } from "#test/support/processes";
import { noTerminal, runOnPty } from "#test/support/pty";
import { askpassEnv } from "#test/support/ssh";
import type { Sshd } from "#test/support/sshd";
import { missing } from "#test/support/strangers";
import { type TempDir, tempDir } from "#test/support/temp-dir";
import { needsRoot, type TestUser, testUser } from "#test/support/test-user";

const skip = missing("ssh", "sshd") || needsRoot;
let pam: PamService;
let user: TestUser;
let folder: TempDir;
let [one, two, mixed]: Sshd[] = [];

before(async () => {
  if (skip !== false) return;
  folder = await tempDir();
  user = await testUser();
  pam = await startPamService();
  one = await pam.sshd("keyboard-interactive");
  two = await pam.sshd("keyboard-interactive,keyboard-interactive");
  mixed = await pam.sshd("password,keyboard-interactive");
});
after(async () => {
  for (const each of [one, two, mixed, pam, user, folder]) await each?.[Symbol.asyncDispose]();
});

const password = (): string => user.password ?? "";

function words(command: string, sshd: Sshd | undefined, ...more: string[]): string[] {
  const known = ["-o", `UserKnownHostsFile=${sshd?.knownHosts}`, "-o", "GlobalKnownHostsFile=none"];
  return [program, command, "-F", "none", "-o", `Port=${sshd?.port}`, ...known, ...more];
}

/** With nothing of this machine's to log in with, and somebody who answers by SSH_ASKPASS. */
function environment(answers: readonly string[]): Record<string, string> {
  return { HOME: folder.path, SSH_AUTH_SOCK: "", ...askpassEnv(answers) };
}

async function ssh(
  sshd: Sshd | undefined,
  answers: readonly string[],
): Promise<Outcome & { readonly prompts: readonly string[] }> {
  const env = environment(answers);
  const outcome = await run(process.execPath, words("ssh", sshd, `${user.name}@127.0.0.1`, "id -un"), {
    env,
  });
  const text = await readFile(env["POSTERN_TEST_PROMPTS"] ?? "", "utf8").catch(() => "");
  return { ...outcome, prompts: questions(text) };
}

/** Each question begins with who asks, or what for; what PAM says besides may stand in lines between. */
function questions(text: string): string[] {
  return text.split("\n").filter((line) => /^(?:\(|Password of )/.test(line));
}

test("PAM's question is answered, and it is said who asks; the banner is shown", { skip }, async () => {
  const { code, stdout, stderr, prompts } = await ssh(one, [password()]);
  assert.deepEqual([code, stdout.toString()], [0, `${user.name}\n`], stderr);
  assert.match(stderr, /Authorised people only/);
  assert.equal(prompts.length, 1);
  assert.match(prompts[0] ?? "", new RegExp(`\\(${user.name}@127\\.0\\.0\\.1\\) Password:`));
});

test("a wrong answer is asked again, three times in all, and then it is over with 255", {
  skip,
}, async () => {
  const right = await ssh(one, ["wrong", "wrong again", password()]);
  assert.deepEqual([right.code, right.prompts.length], [0, 3], right.stderr);
  const wrong = await ssh(one, ["wrong", "wrong", "wrong", password()]);
  assert.deepEqual([wrong.code, wrong.prompts.length], [255, 3]);
  assert.match(
    wrong.stderr,
    /does not let \S+ in\. It takes keyboard-interactive; tried: keyboard-interactive\./,
  );
  assert.doesNotMatch(wrong.stderr, /\n\s+at /);
});

test("two proofs in turn, of one method and of two", { skip }, async () => {
  for (const sshd of [two, mixed]) {
    const { code, stderr, prompts } = await ssh(sshd, [password(), password()]);
    assert.deepEqual([code, prompts.length], [0, 2], stderr);
    assert.equal((await ssh(sshd, [password(), "wrong", "wrong", "wrong"])).code, 255);
  }
});

test("--password-file answers a lone hidden question", { skip }, async () => {
  const file = folder.at("password");
  await writeFile(file, `${password()}\n`, { mode: 0o600 });
  const env = { HOME: folder.path, SSH_AUTH_SOCK: "", SSH_ASKPASS: "" };
  const more = ["--password-file", file, `${user.name}@127.0.0.1`, "id -un"];
  const { code, stdout, stderr } = await run(process.execPath, words("ssh", one, ...more), { env });
  assert.deepEqual([code, stdout.toString()], [0, `${user.name}\n`], stderr);
});

test("on a terminal: asked without echo", { skip: skip || noTerminal || missing("python3") }, async () => {
  const command = [process.execPath, ...words("ssh", one, `${user.name}@127.0.0.1`, "echo I am in")];
  const steps = [{ expect: "Password:", send: `${password()}\r` }, { expect: "I am in" }];
  const { code, stdout } = await runOnPty(
    { command, steps },
    { env: { HOME: folder.path, SSH_AUTH_SOCK: "", SSH_ASKPASS: "" } },
  );
  assert.equal(code, 0, stdout.toString());
  assert.ok(!stdout.toString().includes(password()));
});

test("an expired password is changed in further rounds", { skip }, async () => {
  const fresh = `Fresh-${process.pid}-horse-battery`;
  await succeed("chage", ["-d", "0", user.name]);
  const { code, stderr, prompts } = await ssh(one, [password(), password(), fresh, fresh]);
  assert.equal(code, 0, stderr);
  assert.equal(prompts.length, 4, String(prompts));
  assert.equal((await ssh(one, [fresh])).code, 0);
  await succeed("chpasswd", [], { stdin: { data: `${user.name}:${password()}\n` } });
});

test("postern forward logs in so, and asks nothing when it connects again", { skip }, async () => {
  await using target = await startListener((socket) => socket.end("through"));
  const env = environment([password()]);
  const spec = `127.0.0.1:0:127.0.0.1:${target.port}`;
  await using child = new Child(
    process.execPath,
    words("forward", one, "-L", spec, `${user.name}@127.0.0.1`),
    { env },
  );
  const [, port = ""] = await child.waitForStdout(/Forwarding 127\.0\.0\.1:(\d+) to/);
  const got = await succeed("nc", ["-N", "127.0.0.1", port]);
  assert.equal(got, "through");
  for (const pid of await descendants(one?.child.pid ?? 0)) process.kill(pid, "SIGKILL");
  await child.waitForStdout(/Trying again/);
  const again = await succeed("nc", ["-N", "127.0.0.1", port]);
  assert.equal(again, "through");
  const asked = await readFile(env["POSTERN_TEST_PROMPTS"] ?? "", "utf8");
  assert.equal(questions(asked).length, 1, asked);
  child.kill("SIGINT");
  assert.equal((await child.outcome()).code, 0);
});

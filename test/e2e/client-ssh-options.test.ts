/** `postern ssh` takes its options as ssh does: before the host and after it, up to the command; and forwards beside a command. */
import assert from "node:assert/strict";
import { userInfo } from "node:os";
import { after, before, test } from "node:test";
import type { Child, Outcome } from "#test/support/child";
import { type ClientLab, startClientLab } from "#test/support/client-lab";
import { answerAfterEnd, askAndEnd, startListener } from "#test/support/echo-server";
import { freePort } from "#test/support/ports";
import { missing } from "#test/support/strangers";
import { until } from "#test/support/waiting";

const skip = missing("ssh", "sshd");
const there = `${userInfo().username}@127.0.0.1`;
let lab: ClientLab;

before(async () => {
  if (skip === false) lab = await startClientLab();
});
after(async () => {
  await lab?.[Symbol.asyncDispose]();
});

function started(...words: string[]): Child {
  return lab.postern(["ssh", ...lab.options, ...words], { stdin: { data: "typed" } });
}

async function ssh(...words: string[]): Promise<Outcome> {
  await using child = started(...words);
  return await child.outcome();
}

test("options after the host, until the command begins; what follows is the command's", {
  skip,
}, async () => {
  const port = String(lab.sshd.port);
  for (const words of [
    [there, "-p", port, "echo", "-n", "-p", "x"],
    [there, "-p", port, "-T", "--", "echo", "-n", "-p", "x"],
    ["-p", port, there, "--", "echo", "-n", "-p", "x"],
    ["-p", port, "--", there, "echo", "-n", "-p", "x"],
    [there, `-p${port}`, "-o", "SetEnv=LC_A=b", "echo -n -p x"],
  ]) {
    const { code, stdout, stderr } = await ssh(...words);
    assert.deepEqual([code, stdout.toString()], [0, "-p x"], `${words.join(" ")}: ${stderr}`);
  }
  const unknown = await ssh(there, "--unheard-of", "true");
  assert.equal(unknown.code, 2);
  assert.match(unknown.stderr, /unknown option '--unheard-of'/);
});

test("-n reads nothing, -c and -m choose, -b chooses the address to come from", { skip }, async () => {
  const port = String(lab.sshd.port);
  assert.equal((await ssh("-p", port, there, "cat")).stdout.toString(), "typed");
  assert.equal((await ssh("-n", "-p", port, there, "cat")).stdout.toString(), "");
  const { code, stdout } = await ssh(
    "-c",
    "aes128-ctr",
    "-m",
    "hmac-sha2-256",
    "-b",
    "127.0.0.3",
    "-p",
    port,
    there,
    "echo ${SSH_CLIENT%% *}",
  );
  assert.deepEqual([code, stdout.toString()], [0, "127.0.0.3\n"]);
  await using wrong = started("-c", "no-such-cipher", "-p", port, there, "true");
  assert.match((await wrong.outcome()).stderr, /nothing in Ciphers "no-such-cipher" is known here/);
});

test("-L, -R and -D beside a command, and they end with it", { skip }, async () => {
  await using target = await startListener(answerAfterEnd);
  const [local, remote] = [await freePort(), await freePort()];
  await using child = lab.postern(
    [
      "ssh",
      ...lab.options,
      "-p",
      String(lab.sshd.port),
      there,
      "-L",
      `${local}:127.0.0.1:${target.port}`,
      "-R",
      `${remote}:127.0.0.1:${target.port}`,
      "-D",
      "0",
      "echo ready; cat",
    ],
    { stdin: "open" },
  );
  await child.waitForStdout(/ready/);
  assert.match(await askAndEnd({ port: local }, "here"), /^4 /);
  assert.match(await askAndEnd({ port: remote }, "there"), /^5 /);
  child.stdin.end();
  assert.equal((await child.outcome()).code, 0);
  await assert.rejects(askAndEnd({ port: local }, "over"), /ECONNREFUSED/);
});

test("-N only forwards, until Ctrl-C; a port in use is told, or the end with ExitOnForwardFailure", {
  skip,
}, async () => {
  await using target = await startListener(answerAfterEnd);
  const [port, free] = [String(lab.sshd.port), await freePort()];
  const busy = ["-L", `127.0.0.1:${target.port}:web:80`];
  await using child = started("-N", ...busy, "-L", `${free}:127.0.0.1:${target.port}`, "-p", port, there);
  await child.waitForStderr(/Cannot listen on 127\.0\.0\.1:\d+: another program has that port/);
  const answer = await until("the other one", () => askAndEnd({ port: free }, "here").catch(() => undefined));
  assert.match(answer, /^4 /);
  child.kill("SIGINT");
  assert.equal((await child.outcome()).code, 130);
  const strict = await ssh("-N", ...busy, "-o", "ExitOnForwardFailure=yes", "-p", port, there);
  assert.equal(strict.code, 255);
  assert.match(strict.stderr, /^postern: Cannot listen on /);
});

test("-W joins stdin and stdout to a place that the server reaches; ClearAllForwardings clears", {
  skip,
}, async () => {
  await using target = await startListener(answerAfterEnd);
  const port = String(lab.sshd.port);
  const joined = await ssh("-W", `127.0.0.1:${target.port}`, "-p", port, there);
  assert.deepEqual([joined.code, joined.stdout.toString().split(" ")[0]], [0, "5"], joined.stderr);
  const refused = await ssh("-W", "127.0.0.1:1", "-p", port, there);
  assert.equal(refused.code, 255);
  assert.match(refused.stderr, /^postern: 127\.0\.0\.1:\d+ refused 127\.0\.0\.1:1: /);
  const clear = ["-o", "ClearAllForwardings=yes", "-o", `LocalForward=${target.port} web:80`];
  const { code, stderr } = await ssh(...clear, "-p", port, there, "true");
  assert.deepEqual([code, stderr], [0, ""]);
});

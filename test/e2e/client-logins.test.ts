/** Ways to log in with the client commands: agent, certificate, password, several steps, jump hosts. */
import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { userInfo } from "node:os";
import { test } from "node:test";
import { startAgent } from "#test/support/agent";
import type { Outcome } from "#test/support/child";
import { startClientLab } from "#test/support/client-lab";
import { postern, program } from "#test/support/gateway";
import { runOnPty } from "#test/support/pty";
import { securityKey, securityKeyKinds } from "#test/support/security-key";
import { startSshd } from "#test/support/sshd";
import { missing } from "#test/support/strangers";
import { tempDir } from "#test/support/temp-dir";
import { certify, makeKey } from "#test/support/test-keys";
import { needsRoot, testUser } from "#test/support/test-user";

const skip = missing("ssh", "sshd");
const me = userInfo().username;

/** `postern ssh` to a command that says who it is. */
async function ssh(
  knownHosts: string,
  words: readonly string[],
  env: Record<string, string> = {},
): Promise<Outcome> {
  const options = ["-F", "none", "-o", `UserKnownHostsFile=${knownHosts}`, "-o", "GlobalKnownHostsFile=none"];
  return await postern(["ssh", ...options, ...words], {
    env: { HOME: "/nonexistent", SSH_AUTH_SOCK: "", SSH_ASKPASS: "", ...env },
  });
}

test("keys of an agent, and with IdentitiesOnly only the one that a file names", { skip }, async () => {
  await using folder = await tempDir();
  const key = makeKey(folder.at("id"), "ed25519");
  const other = makeKey(folder.at("other"), "ed25519");
  await using sshd = await startSshd({ authorizedKeys: [key.publicLine], config: ["LogLevel VERBOSE"] });
  await using agent = await startAgent([other.path, key.path]);
  const env = { SSH_AUTH_SOCK: agent.socket };
  const words = ["-o", "BatchMode=yes", "-p", String(sshd.port), `${me}@127.0.0.1`, "echo in"];
  const all = await ssh(sshd.knownHosts, words, env);
  assert.equal(all.stdout.toString(), "in\n", all.stderr);
  const named = await ssh(
    sshd.knownHosts,
    ["-i", `${key.path}.pub`, "-o", "IdentitiesOnly=yes", ...words],
    env,
  );
  assert.equal(named.stdout.toString(), "in\n", named.stderr);
  const wrong = await ssh(
    sshd.knownHosts,
    ["-i", `${other.path}.pub`, "-o", "IdentitiesOnly=yes", ...words],
    env,
  );
  assert.equal(wrong.code, 255);
  assert.match(wrong.stderr, /does not let .* in\. It takes publickey/);
});

test("a security key, by an agent: touched, it logs in and forwards", {
  skip: skip || missing("cc", "openssl"),
}, async () => {
  await using token = await securityKey();
  for (const kind of securityKeyKinds) {
    const key = token.key(`id-${kind}`, kind);
    await using sshd = await startSshd({ authorizedKeys: [key.publicLine] });
    await using agent = await startAgent([key.path], token.provider);
    const env = { SSH_AUTH_SOCK: agent.socket };
    const words = ["-o", "BatchMode=yes", "-p", String(sshd.port), `${me}@127.0.0.1`, "echo in"];
    const { stdout, stderr } = await ssh(sshd.knownHosts, words, env);
    assert.equal(stdout.toString(), "in\n", stderr);
    // With its file alone it cannot sign, and says what can.
    const alone = await ssh(sshd.knownHosts, ["-i", key.path, ...words]);
    assert.equal(alone.code, 255);
    assert.match(alone.stderr, /agent/);
    assert.equal(alone.stdout.length, 0);
  }
});

test("a certificate beside its key is what lets in", { skip }, async () => {
  await using folder = await tempDir();
  const authority = makeKey(folder.at("ca"), "ed25519");
  const key = makeKey(folder.at("id"), "ed25519");
  certify(authority, key, { principals: [me] });
  await using sshd = await startSshd({
    config: ["LogLevel VERBOSE", `TrustedUserCAKeys ${authority.path}.pub`],
  });
  const words = [
    "-i",
    key.path,
    "-o",
    "BatchMode=yes",
    "-p",
    String(sshd.port),
    `${me}@127.0.0.1`,
    "echo in",
  ];
  const { stdout, stderr } = await ssh(sshd.knownHosts, words);
  assert.equal(stdout.toString(), "in\n", stderr);
});

test("a password: of a file, of SSH_ASKPASS, and on the terminal, where a wrong one is asked for again", {
  skip: skip || needsRoot || missing("python3"),
}, async () => {
  await using folder = await tempDir();
  await using user = await testUser();
  const { password = "" } = user;
  await using sshd = await startSshd({ config: ["LogLevel VERBOSE", "PasswordAuthentication yes"] });
  const words = ["-p", String(sshd.port), `${user.name}@127.0.0.1`, "echo in"];
  await writeFile(folder.at("password"), `${password}\n`, { mode: 0o600 });
  const filed = await ssh(sshd.knownHosts, ["--password-file", folder.at("password"), ...words]);
  assert.equal(filed.stdout.toString(), "in\n", filed.stderr);
  await writeFile(folder.at("askpass"), `#!/bin/sh\ncat ${folder.at("password")}\n`, { mode: 0o755 });
  const asked = await ssh(sshd.knownHosts, words, {
    SSH_ASKPASS: folder.at("askpass"),
    SSH_ASKPASS_REQUIRE: "force",
  });
  assert.equal(asked.stdout.toString(), "in\n", asked.stderr);
  const command = [
    process.execPath,
    program,
    "ssh",
    "-F",
    "none",
    "-o",
    `UserKnownHostsFile=${sshd.knownHosts}`,
    ...words,
  ];
  const typed = await runOnPty(
    {
      command,
      steps: [
        { expect: "Password of .*: ", send: "wrong\r" },
        { expect: "That was not right. Password of .*: ", send: `${password}\r` },
        { expect: "in" },
      ],
    },
    { env: { HOME: folder.path, SSH_AUTH_SOCK: "", SSH_ASKPASS: "" } },
  );
  assert.equal(typed.code, 0, typed.stdout.toString());
  assert.ok(!typed.stdout.toString().includes(password));
});

test("a key and then a password, as AuthenticationMethods asks", { skip: skip || needsRoot }, async () => {
  await using folder = await tempDir();
  await using user = await testUser();
  const key = makeKey(folder.at("id"), "ed25519");
  await using sshd = await startSshd({
    authorizedKeys: [key.publicLine],
    config: ["LogLevel VERBOSE", "PasswordAuthentication yes", "AuthenticationMethods publickey,password"],
  });
  await writeFile(folder.at("password"), `${user.password ?? ""}\n`);
  const words = [
    "-i",
    key.path,
    "--password-file",
    folder.at("password"),
    "-p",
    String(sshd.port),
    `${user.name}@127.0.0.1`,
    "echo in",
  ];
  const { stdout, stderr } = await ssh(sshd.knownHosts, words);
  assert.equal(stdout.toString(), "in\n", stderr);
});

test("-J through two hosts: each host key is checked, the last one answers", { skip }, async () => {
  await using lab = await startClientLab();
  const { publicLine } = lab.key;
  await using second = await startSshd({ authorizedKeys: [publicLine], config: ["LogLevel VERBOSE"] });
  await using third = await startSshd({
    authorizedKeys: [publicLine],
    config: ["LogLevel VERBOSE", "SetEnv WHICH=third"],
  });
  const lines: string[] = [];
  for (const each of [lab.sshd, second, third]) {
    lines.push(await readFile(each.knownHosts, "utf8"));
  }
  const known = lab.folder.at("all");
  await writeFile(known, lines.join(""));
  const config = [
    `Host *`,
    `  UserKnownHostsFile ${known}`,
    `  IdentityFile ${lab.key.path}`,
    "  BatchMode yes",
  ];
  await writeFile(lab.folder.at("config"), `${config.join("\n")}\n`);
  const jumps = [lab.sshd, second].map(({ port }) => `${me}@127.0.0.1:${port}`).join(",");
  const words = [
    "ssh",
    "-F",
    lab.folder.at("config"),
    "-J",
    jumps,
    "-p",
    String(third.port),
    `${me}@127.0.0.1`,
    "echo $WHICH",
  ];
  await using child = lab.postern(words);
  const { stdout, stderr } = await child.outcome();
  assert.equal(stdout.toString(), "third\n", stderr);
  // One of them with a key that nobody knows: the chain ends there, in words.
  await writeFile(known, [lines[0], lines[2]].join(""));
  await using refused = lab.postern(words);
  const ended = await refused.outcome();
  assert.equal(ended.code, 255);
  assert.match(ended.stderr, new RegExp(`The host key of \\[127\\.0\\.0\\.1\\]:${second.port} is not known`));
});

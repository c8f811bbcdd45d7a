import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Child, type ChildOptions, type Outcome } from "./child.ts";
import { stranger } from "./strangers.ts";

/** Where OpenSSH's clients go, and as whom. */
export interface SshTarget {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  /** Path of a known_hosts file. */
  readonly knownHosts: string;
  /** Path of a private key. */
  readonly identity?: string;
  /** Socket of an agent to be forwarded. */
  readonly forwardAgent?: string;
}

export interface SshOptions extends ChildOptions {
  /** "Key=value" for `-o`; these win over the defaults below. */
  readonly options?: readonly string[];
  /** Flags before the destination. */
  readonly flags?: readonly string[];
  /** Answers to every prompt; the last is used again. */
  readonly passwords?: readonly string[];
  readonly deadlineMs?: number;
}

/** Files of this test process that ssh needs. */
let folder: string | undefined;
function scratch(): string {
  if (folder === undefined) {
    const made = mkdtempSync(join(tmpdir(), "postern-test-ssh-"));
    process.on("exit", () => {
      rmSync(made, { recursive: true, force: true });
    });
    writeFileSync(join(made, "askpass"), askpass, { mode: 0o755 });
    folder = made;
  }
  return folder;
}

/** Gives the first line of the answers, and takes it away unless it is the last. */
const askpass = `#!/bin/sh
printf '%s\\n' "$1" >> "$POSTERN_TEST_PROMPTS"
head -n 1 "$POSTERN_TEST_ANSWERS"
if [ "$(wc -l < "$POSTERN_TEST_ANSWERS")" -gt 1 ]; then
  tail -n +2 "$POSTERN_TEST_ANSWERS" > "$POSTERN_TEST_ANSWERS.rest" && mv "$POSTERN_TEST_ANSWERS.rest" "$POSTERN_TEST_ANSWERS"
fi
`;

let serial = 0;

/** The options every run of ssh, scp, sftp and rsync in a test has: nothing of the machine's own configuration counts. */
export function sshSettings(target: SshTarget, more: SshOptions = {}): string[] {
  const login = more.passwords === undefined ? ["BatchMode=yes"] : ["NumberOfPasswordPrompts=1"];
  const settings = [
    ...(more.options ?? []),
    ...(target.forwardAgent === undefined ? [] : ["ForwardAgent=yes"]),
    `UserKnownHostsFile=${target.knownHosts}`,
    "GlobalKnownHostsFile=none",
    "StrictHostKeyChecking=yes",
    "UpdateHostKeys=no",
    `IdentityAgent=${target.forwardAgent ?? "none"}`,
    "IdentitiesOnly=yes",
    `IdentityFile=${target.identity ?? "none"}`,
    "ConnectTimeout=30",
    ...login,
  ];
  return ["-F", "none", ...settings.flatMap((setting) => ["-o", setting])];
}

/** Environment by which ssh asks a script of ours instead of a terminal. */
export function askpassEnv(passwords: readonly string[] | undefined): Record<string, string> {
  if (passwords === undefined) return {};
  serial += 1;
  const own = join(scratch(), String(serial));
  mkdirSync(own);
  writeFileSync(join(own, "answers"), passwords.map((password) => `${password}\n`).join(""));
  return {
    SSH_ASKPASS: join(scratch(), "askpass"),
    SSH_ASKPASS_REQUIRE: "force",
    DISPLAY: process.env["DISPLAY"] ?? ":0",
    POSTERN_TEST_ANSWERS: join(own, "answers"),
    POSTERN_TEST_PROMPTS: join(own, "prompts"),
  };
}

/** Starts `ssh`; the caller ends it. */
export function spawnSsh(target: SshTarget, command: readonly string[], options: SshOptions = {}): Child {
  return new Child(stranger("ssh"), sshCommand(target, command, options), {
    ...options,
    env: { ...askpassEnv(options.passwords), ...options.env },
  });
}

/** The whole command line after "ssh". */
export function sshCommand(
  target: SshTarget,
  command: readonly string[],
  options: SshOptions = {},
): string[] {
  return [
    ...sshSettings(target, options),
    "-p",
    String(target.port),
    "-l",
    target.user,
    ...(options.flags ?? []),
    target.host,
    ...command,
  ];
}

/** Runs `ssh` to its end. */
export async function runSsh(
  target: SshTarget,
  command: readonly string[],
  options: SshOptions = {},
): Promise<Outcome> {
  await using child = spawnSsh(target, command, options);
  return await child.outcome(options.deadlineMs);
}

/** Waits until an `ssh -v` has logged in and made its forwardings. */
export async function sshReady(child: Child): Promise<void> {
  await child.waitForStderr(/Entering interactive session/);
  const asked = child.stderr.match(/Remote connections from .* forwarded to/g)?.length ?? 0;
  if (asked > 0) await child.waitForStderr(/forwarding_success: all expected forwarding replies received/);
}

/** "user@host" or "user@[host]" for scp and rsync. */
export function sshPlace(target: SshTarget): string {
  return `${target.user}@${target.host.includes(":") ? `[${target.host}]` : target.host}`;
}

/** One string for GIT_SSH_COMMAND, `rsync -e` and `hg --ssh`: none of the words has spaces or quotes. */
export function sshShellCommand(target: SshTarget): string {
  return [stranger("ssh"), ...sshSettings(target), "-p", String(target.port)].join(" ");
}

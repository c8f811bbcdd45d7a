/** The programs of others that interop and end-to-end tests meet, and where Debian has them. */
import { spawnSync } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

export interface Stranger {
  /** Debian packages that bring it. */
  readonly debian: string;
  /** A program in PATH or in sbin. */
  readonly program?: string;
  /** A module of Debian's own Python. */
  readonly python?: string;
}

/** Debian's Python: another one in PATH would not see Debian's modules. */
export const debianPython: string = "/usr/bin/python3";

export const strangerNames = [
  "ssh",
  "sshd",
  "dropbear",
  "dbclient",
  "plink",
  "psftp",
  "puttygen",
  "python3",
  "paramiko",
  "asyncssh",
  "rsync",
  "git",
  "hg",
  "nc",
  "ncat",
  "corkscrew",
  "proxytunnel",
  "curl",
  "nginx",
  "websockets",
  "socat",
  "faketime",
  "lftp",
  "rclone",
  "sshfs",
  "haproxy",
  "tinyproxy",
  "microsocks",
  "openssl",
  "xauth",
  "Xvfb",
  "xdpyinfo",
  "ip",
  "shellcheck",
  "logrotate",
  "cc",
  "tmux",
  "rsyslogd",
  "zbarimg",
  "chromium",
  "pebble",
  "pebble-challtestsrv",
] as const;
export type StrangerName = (typeof strangerNames)[number];

export const strangers: Readonly<Record<StrangerName, Stranger>> = {
  ssh: { debian: "openssh-client", program: "ssh" },
  sshd: { debian: "openssh-server", program: "sshd" },
  dropbear: { debian: "dropbear-bin", program: "dropbear" },
  dbclient: { debian: "dropbear-bin", program: "dbclient" },
  plink: { debian: "putty-tools", program: "plink" },
  psftp: { debian: "putty-tools", program: "psftp" },
  puttygen: { debian: "putty-tools", program: "puttygen" },
  python3: { debian: "python3", program: debianPython },
  paramiko: { debian: "python3-paramiko", python: "paramiko" },
  asyncssh: { debian: "python3-asyncssh", python: "asyncssh" },
  rsync: { debian: "rsync", program: "rsync" },
  git: { debian: "git", program: "git" },
  hg: { debian: "mercurial", program: "hg" },
  nc: { debian: "netcat-openbsd", program: "nc" },
  ncat: { debian: "ncat", program: "ncat" },
  corkscrew: { debian: "corkscrew", program: "corkscrew" },
  proxytunnel: { debian: "proxytunnel", program: "proxytunnel" },
  curl: { debian: "curl", program: "curl" },
  nginx: { debian: "nginx-light", program: "nginx" },
  websockets: { debian: "python3-websockets", python: "websockets" },
  socat: { debian: "socat", program: "socat" },
  lftp: { debian: "lftp", program: "lftp" },
  rclone: { debian: "rclone", program: "rclone" },
  sshfs: { debian: "sshfs", program: "sshfs" },
  tinyproxy: { debian: "tinyproxy-bin", program: "tinyproxy" },
  microsocks: { debian: "microsocks", program: "microsocks" },
  haproxy: { debian: "haproxy", program: "haproxy" },
  openssl: { debian: "openssl", program: "openssl" },
  xauth: { debian: "xauth", program: "xauth" },
  Xvfb: { debian: "xvfb", program: "Xvfb" },
  xdpyinfo: { debian: "x11-utils", program: "xdpyinfo" },
  ip: { debian: "iproute2", program: "ip" },
  shellcheck: { debian: "shellcheck", program: "shellcheck" },
  logrotate: { debian: "logrotate", program: "logrotate" },
  tmux: { debian: "tmux", program: "tmux" },
  chromium: { debian: "chromium", program: "chromium" },
  pebble: { debian: "pebble", program: "pebble" },
  "pebble-challtestsrv": { debian: "pebble", program: "pebble-challtestsrv" },
  cc: { debian: "gcc libc6-dev", program: "cc" },
  zbarimg: { debian: "zbar-tools", program: "zbarimg" },
  rsyslogd: { debian: "rsyslog", program: "rsyslogd" },
  faketime: { debian: "faketime", program: "faketime" },
};

/** Where a program is, looking in sbin too. */
export function programPath(name: string): string | undefined {
  if (name.startsWith("/")) return isExecutable(name) ? name : undefined;
  const folders = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/local/sbin", "/usr/sbin", "/sbin"];
  return folders.map((folder) => join(folder, name)).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function isHere(stranger: Stranger): boolean {
  if (stranger.program !== undefined && programPath(stranger.program) === undefined) return false;
  if (stranger.python === undefined) return true;
  return spawnSync(debianPython, ["-W", "ignore", "-c", `import ${stranger.python}`]).status === 0;
}

const known = new Map<StrangerName, boolean>();

/** Strangers, of those named, that are not on this machine. */
export function absent(names: readonly StrangerName[]): StrangerName[] {
  return names.filter((name) => {
    const here = known.get(name) ?? isHere(strangers[name]);
    known.set(name, here);
    return !here;
  });
}

/** Debian packages that would bring the absent ones. */
export function packagesFor(names: readonly StrangerName[]): string[] {
  return [...new Set(names.map((name) => strangers[name].debian))];
}

/**
 * For the `skip` option of a test: false when all are here, else the reason. In CI a missing stranger is no reason to skip: it
 * throws, and the file fails.
 */
export function missing(...names: readonly StrangerName[]): string | false {
  const lacking = absent(names);
  if (lacking.length === 0) return false;
  const reason = `not on this machine: ${lacking.join(", ")}; install with: apt-get install ${packagesFor(lacking).join(" ")}`;
  if (process.env["CI"] === "true") throw new Error(reason);
  return reason;
}

/** A program that `missing` has found to be here. */
export function stranger(name: StrangerName): string {
  const { program } = strangers[name];
  const path = program === undefined ? undefined : programPath(program);
  if (path === undefined) throw new Error(`${name} is not on this machine`);
  return path;
}

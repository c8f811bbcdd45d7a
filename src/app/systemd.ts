import { execFile } from "node:child_process";
import type { Log } from "#base";
import type { PassedSocket } from "#contract";

/** SD_LISTEN_FDS_START of sd_listen_fds(3). */
const firstPassed = 3;

/** More than this is a mistake in the environment. */
const maxPassed = 256;

type Environment = Readonly<Record<string, string | undefined>>;

/** Sockets passed to this process (sd_listen_fds(3)). */
export function passedSockets(environment: Environment, pid: number): PassedSocket[] {
  const count = Number(environment["LISTEN_FDS"]);
  if (Number(environment["LISTEN_PID"]) !== pid || !Number.isInteger(count) || count < 1 || count > maxPassed)
    return [];
  const names = (environment["LISTEN_FDNAMES"] ?? "").split(":");
  return Array.from({ length: count }, (_, at) => {
    const name = names[at];
    const fd = firstPassed + at;
    return name === undefined || name === "" ? { fd } : { fd, name };
  });
}

/**
 * Tells the service manager how we are (sd_notify(3)), for units of Type=notify with NotifyAccess=all. Node cannot send datagrams to
 * a UNIX socket, so systemd's own program does; without it nothing is told, and the unit must be of another type.
 */
export function notifyManager(environment: Environment, log: Log, ...states: readonly string[]): void {
  if (environment["NOTIFY_SOCKET"] === undefined) return;
  execFile("systemd-notify", [...states], { timeout: 5_000 }, (error) => {
    if (error !== null) log.debug("systemd-not-told", { states, error });
  });
}

import type { CertificateState } from "#acme";
import { formatSeconds } from "#base";
import type { AddressReport, SessionRecord } from "#contract";
import type { Reloaded, ReloadOutcome } from "./running.ts";

/** How a gateway is. */
export interface Status {
  readonly version: string;
  readonly pid: number;
  readonly state: "running" | "stopping";
  readonly startedAt: string;
  readonly uptimeSeconds: number;
  readonly config: string;
  readonly listening: readonly string[];
  readonly connections: number;
  /** Connections that have not logged in yet. */
  readonly startups: number;
  /** Process ids. */
  readonly workers: readonly number[];
  readonly rules: number;
  readonly logLevel: string;
  readonly logLinesLost: number;
  /** The addresses of all targets. */
  readonly targets: readonly AddressReport[];
  /** How many devices are there, and what they offer together. Absent: the configuration has none. */
  readonly devices?: { readonly online: number; readonly tunnels: number };
  /** Those ordered by ACME. Absent: the configuration has no such thing. */
  readonly certificates?: readonly CertificateState[];
  readonly sessions: readonly SessionRecord[];
  readonly lastReload?: { readonly at: string } & ReloadOutcome;
}

/** Sessions shown one by one; the JSON has all of them. */
const maxShown = 50;

export function statusText(status: Status, nowMs: number): string {
  const { sessions, workers, lastReload } = status;
  const lines = [
    `postern ${status.version}, process ${status.pid}, ${status.state} for ${formatSeconds(status.uptimeSeconds)}`,
    `configuration: ${status.config}, ${status.rules} rules`,
    `listening: ${status.listening.join(", ") || "nowhere"}`,
    ...(workers.length === 0 ? [] : [`workers: ${workers.join(", ")}`]),
    `log level: ${status.logLevel}${status.logLinesLost === 0 ? "" : `, ${status.logLinesLost} lines lost`}`,
    ...(lastReload === undefined
      ? []
      : [`last reload: ${lastReload.at}, ${lastReload.ok ? "good" : `failed: ${lastReload.problem}`}`]),
    ...targetLines(status.targets),
    ...(status.devices === undefined
      ? []
      : [`devices: ${status.devices.online} online, ${status.devices.tunnels} tunnels`]),
    ...certificateLines(status.certificates),
    `connections: ${status.connections}, ${status.startups} of them not logged in`,
    ...sessions.slice(0, maxShown).map((session) => `  ${sessionText(session, nowMs)}`),
    ...(sessions.length > maxShown ? [`  and ${sessions.length - maxShown} more`] : []),
  ];
  return lines.join("\n");
}

function certificateLines(certificates: Status["certificates"]): string[] {
  if (certificates === undefined) return [];
  if (certificates.length === 0) return ["certificates: none ordered yet"];
  const more = certificates.length - maxShown;
  return [
    "certificates:",
    ...certificates.slice(0, maxShown).map((each) => `  ${certificateText(each)}`),
    ...(more > 0 ? [`  and ${more} more`] : []),
  ];
}

function certificateText({ name, until, ordering, failed }: CertificateState): string {
  const words = [
    until === undefined ? "none" : `until ${until.slice(0, 16).replace("T", " ")} UTC`,
    ...(ordering ? ["being ordered"] : []),
    ...(failed === undefined
      ? []
      : [`failed: ${failed.reason}; next try after ${failed.nextTry.slice(0, 16).replace("T", " ")} UTC`]),
  ];
  return `${name}: ${words.join(", ")}`;
}

/** Addresses shown one by one; the JSON has all of them. */
const maxAddresses = 100;

function targetLines(targets: readonly AddressReport[]): string[] {
  if (targets.length === 0) return [];
  const more = targets.length - maxAddresses;
  return [
    "targets:",
    ...targets.slice(0, maxAddresses).map((each) => `  ${addressText(each)}`),
    ...(more > 0 ? [`  and ${more} more`] : []),
  ];
}

export function addressText({ target, address, health, drained, sessions, reason }: AddressReport): string {
  const words = [
    health === "unknown"
      ? "not checked"
      : health === "down" && reason !== undefined
        ? `down (${reason})`
        : health,
    ...(drained ? ["drained"] : []),
    `${sessions} ${sessions === 1 ? "session" : "sessions"}`,
  ];
  return `${target} ${address}: ${words.join(", ")}`;
}

function sessionText(session: SessionRecord, nowMs: number): string {
  const { id, from, user, upstream, mounts = [], phase, startedAtMs } = session;
  const age = formatSeconds(Math.round((nowMs - startedAtMs) / 1000));
  const whom = user === undefined ? "" : ` ${user}`;
  const ends = upstream === undefined ? mounts.map((each) => each.upstream) : [upstream];
  const where = ends.length === 0 ? "" : ` to ${[...new Set(ends)].join(" and ")}`;
  return `${id}${whom} from ${from}${where}, ${phase}, ${age}`;
}

export function reloadText({ changed, needRestart, warnings }: Reloaded): string {
  const lines = [
    changed.length === 0 ? "Reloaded; nothing has changed." : `Reloaded; changed: ${changed.join(", ")}.`,
  ];
  if (needRestart.length > 0) lines.push(`Only after a restart: ${needRestart.join(", ")}.`);
  return [...lines, ...warnings].join("\n");
}

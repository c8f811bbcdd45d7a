import type { DeviceLogReport, SeenDevice, TokenReport } from "#contract";

/** Columns as wide as what is in them. */
export function tableText(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows)
    for (const [at, cell] of row.entries()) widths[at] = Math.max(widths[at] ?? 0, cell.length);
  return rows
    .map((row) =>
      row
        .map((cell, at) => cell.padEnd(widths[at] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

export function devicesText(devices: readonly SeenDevice[]): string {
  if (devices.length === 0) return "There are no devices.";
  return tableText([
    ["NAME", "STATE", "SEEN", "PORTS", "TAGS", "FROM"],
    ...devices.map((device) => [
      device.name === "" ? "-" : device.name,
      device.code === undefined ? device.state : `${device.state} ${device.code}`,
      presenceOf(device),
      device.ports.join(","),
      device.tags.join(",") || "-",
      device.tunnels[0]?.from ?? device.lastFrom ?? "-",
    ]),
  ]);
}

function presenceOf({ state, online, lastSeenAt }: SeenDevice): string {
  if (online === true) return "online";
  const last = lastSeenAt === undefined ? "never seen" : `last seen ${minute(lastSeenAt)}`;
  return state === "approved" && online === false ? `offline, ${last}` : last;
}

export function deviceText(device: SeenDevice): string {
  const lines: readonly (readonly [string, string | undefined])[] = [
    ["name", device.name === "" ? "-" : device.name],
    ["state", device.state],
    ["code", device.code],
    ["presence", presenceOf(device)],
    ["key", device.key],
    ["fingerprint", device.fingerprint],
    ["ports", device.ports.join(", ")],
    ["tags", device.tags.join(", ") || undefined],
    ["web", device.web],
    ["came", `${minute(device.createdAt)} by ${device.cameBy}`],
    [
      "decided",
      device.decidedAt === undefined
        ? undefined
        : `${minute(device.decidedAt)}${device.decidedBy === undefined ? "" : ` by ${device.decidedBy}`}`,
    ],
    ["last from", device.lastFrom],
    ["id", device.id],
  ];
  const tunnels = device.tunnels.map(
    ({ port, from, since }) => ["tunnel", `port ${port}, from ${from}, since ${minute(since)}`] as const,
  );
  return tableText(
    [...lines, ...tunnels].flatMap(([what, value]) => (value === undefined ? [] : [[`${what}:`, value]])),
  );
}

export function logText(entries: readonly DeviceLogReport[]): string {
  if (entries.length === 0) return "Nothing is noted.";
  return tableText(entries.map(({ at, event, by, detail }) => [at, event, by, detail ?? ""]));
}

export function tokensText(tokens: readonly TokenReport[], nowMs: number): string {
  if (tokens.length === 0) return "There are no join tokens.";
  return tableText([
    ["ID", "USES LEFT", "EXPIRES", "NAMES", "PORTS", "TAGS"],
    ...tokens.map(({ id, usesLeft, expiresAt, names, ports, tags }) => [
      id,
      String(usesLeft),
      Date.parse(expiresAt) <= nowMs ? "expired" : minute(expiresAt),
      names,
      ports.join(","),
      tags.join(",") || "-",
    ]),
  ]);
}

/** To the minute, in UTC. */
function minute(iso: string): string {
  return `${iso.slice(0, 16).replace("T", " ")}Z`;
}

import type { AuditRecord } from "#contract";

/** Which lines are wanted: all conditions that are present must hold. */
export interface AuditFilter {
  readonly session?: string | undefined;
  readonly user?: string | undefined;
  readonly events?: readonly string[] | undefined;
  /** Only what was refused or failed. */
  readonly refused?: boolean | undefined;
  /** Milliseconds since 1970. */
  readonly sinceMs?: number | undefined;
  readonly untilMs?: number | undefined;
}

/** The record of one line; undefined for a line that is none, as the last of a file that is being written. */
export function parseAuditLine(line: string): AuditRecord | undefined {
  try {
    const value: unknown = JSON.parse(line);
    if (typeof value !== "object" || value === null) return undefined;
    const { time, session, event } = value as Readonly<Record<string, unknown>>;
    const whole = typeof time === "string" && typeof session === "string" && typeof event === "string";
    return whole ? (value as AuditRecord) : undefined;
  } catch {
    return undefined;
  }
}

export function passesFilter(record: AuditRecord, filter: AuditFilter): boolean {
  if (filter.session !== undefined && record.session !== filter.session) return false;
  if (filter.user !== undefined && record.user !== filter.user) return false;
  if (filter.events !== undefined && !filter.events.includes(record.event)) return false;
  if (
    filter.refused === true &&
    !("outcome" in record && (record.outcome === "refused" || record.outcome === "failed"))
  )
    return false;
  const at = Date.parse(record.time);
  if (filter.sinceMs !== undefined && !(at >= filter.sinceMs)) return false;
  return filter.untilMs === undefined || at < filter.untilMs;
}

/** One line for people. What others chose (names, commands) is shown so that it cannot move a cursor. */
export function auditLineText(record: AuditRecord): string {
  const { time, session, event, user, ...rest } = record;
  const fields = Object.entries(rest).map(([name, value]) => `${name}=${shown(value)}`);
  const who = user === undefined ? [] : [`user=${shown(user)}`];
  return [plain(time), plain(session), plain(event), ...who, ...fields].join(" ");
}

function shown(value: unknown): string {
  if (typeof value === "number") return String(value);
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return /^[\w@%+./:,-]+$/.test(text) ? text : escaped(JSON.stringify(text));
}

function plain(text: string): string {
  return /^[\w.:-]+$/.test(text) ? text : escaped(JSON.stringify(text));
}

/** JSON leaves in what terminals act upon beyond ASCII's control characters. */
function escaped(text: string): string {
  return text.replace(
    /[\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2066-\u2069]/g,
    (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

import { existsSync, readFileSync } from "node:fs";
import type { AuditRecord } from "#contract";

/** What stands in an audit's file so far: a line that is not whole yet does not count, nor does a file that is not there yet. */
export function auditLines(path: string): AuditRecord[] {
  if (!existsSync(path)) return [];
  return readFileSync(path, "utf8")
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line) as AuditRecord);
}

/**
 * audit: where the events of the audit go. This door is the list of kinds.
 *
 * Law: writes lines and reads them again; knows no session and decides nothing. Writing never holds up a session: what cannot be
 * written is counted and logged.
 */
import type { AuditKind, AuditPorts, AuditSink } from "#contract";
import { jsonl, type JsonlConfig } from "./jsonl/index.ts";
import { syslog, type SyslogConfig } from "./syslog/index.ts";

export { auditJsonSchema, auditPage } from "./docs.ts";
export { type AuditFilter, auditLineText, parseAuditLine, passesFilter } from "./lines.ts";

export type AuditConfig = JsonlConfig | SyslogConfig;

export const auditKinds: readonly [AuditKind<JsonlConfig>, AuditKind<SyslogConfig>] = [jsonl, syslog];

/** Makes a sink of any kind in the list. Throws OPERATOR_ errors. */
export async function createAuditSink(config: AuditConfig, ports: AuditPorts): Promise<AuditSink> {
  switch (config.kind) {
    case "jsonl":
      return await jsonl.create(config, ports);
    case "syslog":
      return await syslog.create(config, ports);
  }
}

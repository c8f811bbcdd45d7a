import type { Clock, Log } from "#base";
import type { AuditEvent, AuditRecord } from "./events.ts";
import type { Kind } from "./kind.ts";

/** Where the audit's lines go. */
export interface AuditSink extends AsyncDisposable {
  readonly kind: string;
  /** Takes a line at once and writes it in its own time, in order. Never throws: what is lost is counted and logged. */
  write(record: AuditRecord): void;
  /** After a rotation: files are opened anew. */
  reopen(): void;
}

export interface AuditPorts {
  readonly clock: Clock;
  readonly log: Log;
}

export type AuditKind<Config = unknown> = Kind<Config, AuditSink, AuditPorts>;

/** Takes the events of one session. `atMs`: when it happened, in milliseconds since 1970, if that was before now. */
export type Auditor = (event: AuditEvent, atMs?: number) => void;

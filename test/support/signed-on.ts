import assert from "node:assert/strict";
import type { AuditRecord } from "#contract";
import { auditLines } from "./audit-lines.ts";
import type { Outcome } from "./child.ts";
import { until } from "./waiting.ts";

/** The audit's last line about a login under a name by questions, once it is there. */
export async function toldOf(audit: string, user: string): Promise<AuditRecord & { readonly event: "auth" }> {
  return await until(`a line about ${user}`, () => {
    const found = auditLines(audit).findLast(
      (line) => line.event === "auth" && line.user === user && line.method === "keyboard-interactive",
    );
    return found?.event === "auth" ? found : undefined;
  });
}

/** The command that was asked for has run, and nothing else was shown. */
export function assertIn({ stdout, stderr }: Outcome): void {
  assert.equal(stdout.toString(), "in\n", stderr);
}

/** Refused by ssh's own words, with these before them. */
export function assertRefused({ code, stdout, stderr }: Outcome, words: RegExp): void {
  assert.equal(code, 255, stdout.toString());
  assert.match(stderr, words);
  assert.match(stderr, /Permission denied/);
}

import { type Log, PosternError } from "#base";
import type { SessionEnd } from "#contract";
import type { PipeEnd } from "#pipe";

/** How a session ended that was open: by which side, and whose fault it was. */
export function endOf({ by, close }: PipeEnd, log: Log): SessionEnd {
  if (close.kind === "failed") {
    const { error } = close;
    log.debug("session-broken", { by, error });
    if (by === "upstream") return { blame: "UPSTREAM", reason: codeOf(error) };
    return { blame: error instanceof PosternError ? error.blame : "PEER", reason: codeOf(error) };
  }
  if (by === "gateway") return { blame: "none", reason: "closed here" };
  const how = close.kind === "disconnected" ? "disconnected" : "closed the connection";
  const blame = by === "upstream" && close.kind === "ended" ? "UPSTREAM" : "none";
  return { blame, reason: `the ${by === "upstream" ? "upstream" : "client"} ${how}` };
}

/** What went wrong, in one word. */
export function codeOf(error: unknown): string {
  if (error instanceof PosternError) return error.code;
  const { code } = (error ?? {}) as NodeJS.ErrnoException;
  return code ?? (error instanceof Error ? error.message : String(error));
}

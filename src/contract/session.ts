export type SessionPhase = "handshake" | "authenticating" | "entering" | "open" | "ending";

/** Where a mount stands in the tree, and the user, host and port that it leads to. */
export interface MountRecord {
  readonly at: string;
  readonly upstream: string;
}

/** What is told about a live session. */
export interface SessionRecord {
  readonly id: string;
  readonly from: string;
  readonly via: string;
  readonly startedAtMs: number;
  readonly phase: SessionPhase;
  readonly user?: string;
  readonly method?: string;
  readonly rule?: string;
  readonly upstream?: string;
  /** Of a tree of mounts: those whose host it is connected to. */
  readonly mounts?: readonly MountRecord[];
  readonly bytesFromClient?: number;
  readonly bytesToClient?: number;
}

/** How a session ended. */
export interface SessionEnd {
  /** Who is to blame: a blame of the error tables, or nobody. */
  readonly blame: string;
  readonly reason: string;
}

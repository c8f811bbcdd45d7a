/** What a supervisor and its workers say to each other, over Node's channel between processes (structured clones). */
import type { LogLevel } from "#base";
import type {
  Arrival,
  FileRead,
  PeerAddress,
  PoolAnswer,
  PoolQuestion,
  SessionRecord,
  TunnelNews,
} from "#contract";
import type { EndReason } from "./crew.ts";
import type { Errand, OthersErrand } from "./errands.ts";

/** Set in the environment of a worker: its number. */
export const workerVariable = "POSTERN_WORKER";

/** The texts that one configuration was read from, by path: so supervisor and workers hold the same, whatever changed since. */
export type ConfigTexts = ReadonlyMap<string, string>;

export type ToWorker =
  | {
      readonly kind: "begin";
      readonly configFile: string;
      readonly texts: ConfigTexts;
      readonly kept: ReadonlyMap<string, FileRead>;
      readonly level: LogLevel;
    }
  /** Comes with the stream's handle. */
  | {
      readonly kind: "arrival";
      readonly ticket: number;
      readonly from: PeerAddress;
      readonly via: string;
      readonly to: Arrival["to"];
      /** What was read of it already. */
      readonly head: Uint8Array;
    }
  | { readonly kind: "prepare"; readonly question: number; readonly texts: ConfigTexts }
  | { readonly kind: "commit" }
  | { readonly kind: "abandon" }
  | { readonly kind: "sessions"; readonly question: number }
  | {
      readonly kind: "close";
      readonly question: number;
      readonly session: string;
      readonly reason: EndReason;
    }
  | { readonly kind: "close-all"; readonly reason: EndReason }
  | { readonly kind: "notify"; readonly text: string }
  | { readonly kind: "log-level"; readonly level: LogLevel }
  | { readonly kind: "reopen-log" }
  | { readonly kind: "pool-answer"; readonly question: number; readonly answer: PoolAnswer }
  | {
      readonly kind: "pool-share";
      readonly target: string;
      readonly client: string | undefined;
      readonly share: number;
    }
  /** Of a tunnel that another worker holds. */
  | { readonly kind: "tunnel"; readonly worker: number; readonly news: TunnelNews }
  /** All tunnels of another worker are gone with it. */
  | { readonly kind: "tunnels-gone"; readonly worker: number }
  /** What came of an errand; undefined: nothing. */
  | { readonly kind: "errand-done"; readonly question: number; readonly outcome: unknown }
  /** Of another worker, to be answered. */
  | { readonly kind: "errand"; readonly question: number; readonly errand: OthersErrand }
  /** Of another worker, where somebody has tried a code that nobody was shown. */
  | { readonly kind: "wrong-code"; readonly from: PeerAddress }
  /** No session is left: go. */
  | { readonly kind: "end" };

export type FromWorker =
  | { readonly kind: "ready" }
  | { readonly kind: "not-ready"; readonly problem: string }
  | { readonly kind: "authenticated"; readonly ticket: number }
  | { readonly kind: "ended"; readonly ticket: number }
  | { readonly kind: "pool-ask"; readonly question: number; readonly ask: PoolQuestion }
  | { readonly kind: "pool-tell"; readonly lease: number; readonly connected: boolean }
  | { readonly kind: "pool-release"; readonly lease: number }
  /** Of a tunnel that it holds. */
  | { readonly kind: "tunnel"; readonly news: TunnelNews }
  | { readonly kind: "errand"; readonly question: number; readonly errand: Errand }
  | { readonly kind: "wrong-code"; readonly from: PeerAddress }
  | { readonly kind: "answer"; readonly question: number; readonly answer: WorkerAnswer };

export type WorkerAnswer =
  | { readonly kind: "prepared" }
  | { readonly kind: "not-prepared"; readonly problem: string }
  | { readonly kind: "sessions"; readonly sessions: readonly SessionRecord[] }
  | { readonly kind: "errand-done"; readonly outcome: unknown }
  | { readonly kind: "closed"; readonly found: boolean };

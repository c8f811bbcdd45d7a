import { PosternError } from "#base";
import type { ForwardSpec } from "./spec.ts";

/** What happens, for people and scripts. Times in milliseconds; `id` counts the connections. */
export type ForwardEvent =
  | { readonly event: "connecting"; readonly to: string; readonly attempt: number }
  | { readonly event: "connected"; readonly to: string; readonly server: string }
  /** It holds. */
  | {
      readonly event: "forwarding";
      readonly side: ForwardSpec["side"];
      readonly listen: string;
      /** Undefined: whoever connects says it by SOCKS. */
      readonly to: string | undefined;
      readonly through: string;
    }
  | {
      readonly event: "forward-failed";
      readonly side: ForwardSpec["side"];
      readonly listen: string;
      readonly to: string | undefined;
      readonly reason: string;
    }
  | { readonly event: "ready" }
  | { readonly event: "opened"; readonly id: number; readonly from: string; readonly to: string }
  | {
      readonly event: "refused";
      readonly id: number;
      readonly from: string;
      readonly to: string | undefined;
      readonly reason: string;
    }
  | {
      readonly event: "closed";
      readonly id: number;
      readonly from: string;
      readonly to: string;
      /** From where the connection came to where it goes, and back. */
      readonly bytesOut: number;
      readonly bytesIn: number;
      readonly ms: number;
    }
  | { readonly event: "lost"; readonly reason: string }
  | { readonly event: "retry"; readonly inMs: number; readonly reason: string };

/** One connection that passes through now. */
export interface PassingConnection {
  readonly id: number;
  readonly from: string;
  readonly to: string;
  readonly sinceMs: number;
}

export interface ForwardingStatus {
  readonly connected: boolean;
  readonly connections: readonly PassingConnection[];
  /** Since the start. */
  readonly opened: number;
  readonly refused: number;
  /** Of connections that are closed. */
  readonly bytesOut: number;
  readonly bytesIn: number;
}

/** What went wrong, as a sentence for people. */
export function sentenceOf(error: unknown): string {
  if (error instanceof PosternError)
    return error.code.includes("_CLIENT_") ? (error.detail ?? error.message) : `${error.message}.`;
  return error instanceof Error ? error.message : String(error);
}

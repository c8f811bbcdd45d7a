/**
 * entry: how a stream arrives, and the name it brings. This door is the list of kinds.
 *
 * Law: yields Arrivals, and finds out what they are for; knows nothing of users, rules and limits.
 */
import type { EntryKind } from "#contract";
import { ssh, type SshEntryConfig } from "./ssh/index.ts";

export { entryErrors } from "./errors.ts";

export type EntryConfig = SshEntryConfig;

export const entryKinds: readonly [EntryKind<SshEntryConfig>] = [ssh];

export { createReception } from "./reception/index.ts";
export { ssh, type SshEntryPoint } from "./ssh/index.ts";

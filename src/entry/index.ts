/**
 * entry: how a stream arrives, and the name it brings. This door is the list of kinds.
 *
 * Law: yields Arrivals; knows nothing of users, rules and limits.
 */
import type { EntryKind } from "#contract";
import { ssh, type SshEntryConfig } from "./ssh/index.ts";

export { entryErrors } from "./errors.ts";

export type EntryConfig = SshEntryConfig;

export const entryKinds: readonly [EntryKind<SshEntryConfig>] = [ssh];

export { ssh } from "./ssh/index.ts";

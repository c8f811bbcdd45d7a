import type { Template } from "#base";
import type { UpstreamPlan } from "./route.ts";

/** What may be done with files. `write` is changing what is there; a new file needs `create`. */
export const fileRights = [
  "list",
  "read",
  "write",
  "create",
  "delete",
  "rename",
  "mkdir",
  "chmod",
  "touch",
  "link",
] as const;

export type FileRight = (typeof fileRights)[number];

/** How a rule looks at SFTP. */
export interface SftpPlan {
  /** The folder at the upstream that the client sees as `/`. */
  readonly root?: Template;
  /** Where no pattern of `paths` fits. */
  readonly rights: readonly FileRight[];
  /** The first that fits counts, for the path as the client sees it. */
  readonly paths: readonly { readonly path: string; readonly rights: readonly FileRight[] }[];
  /** Patterns of what is not there for the client. */
  readonly hide: readonly string[];
  /** Largest file that may be written. */
  readonly maxFileBytes?: number;
  /** Bytes of files that one session may read and write together. */
  readonly maxSessionBytes?: number;
  /** Endings of names that may be written. */
  readonly extensions?: readonly string[];
  /** Whether it holds anybody back, rather than only watching. */
  readonly confining: boolean;
  /** Tells the audit what becomes of each file. */
  readonly record: boolean;
  /** With the SHA-256 of files that passed whole. */
  readonly hash: boolean;
  /** The tree is put together of several; then there is no root, and the rule has no upstream of its own. */
  readonly mounts?: readonly MountPlan[];
}

/** A folder of some upstream, and its place in the client's tree. What is said of files holds by their paths in it. */
export interface MountPlan extends Omit<SftpPlan, "mounts"> {
  /** Absolute. */
  readonly at: Template;
  readonly upstream: UpstreamPlan;
}

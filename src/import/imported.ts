import type { Problem } from "#config";

export interface ImportOptions {
  /** Makes the hash of a password for `hashes`. */
  readonly hash: (password: string) => Promise<string>;
  /** What `stateDir` is to be, as written. */
  readonly stateDir: string;
  /**
   * Whether files may lie beside the result. If not, an import that needs one (for a password that the upstream is sent, say) is refused:
   * nothing secret is written in clear into the result.
   */
  readonly besides: boolean;
  /** Write rules that can do less than before, in place of disabling them. */
  readonly partial: boolean;
}

/** A file that the result names, relative to the result's own folder. */
export interface SideFile {
  readonly path: string;
  readonly content: string;
  readonly mode: number;
}

export interface Imported {
  /** Our configuration, in YAML. */
  readonly text: string;
  readonly files: readonly SideFile[];
  /** What the operator should look at: rules that are disabled or do less than before, and what had no meaning before. */
  readonly warnings: readonly Problem[];
  /** Every rule does what it did. */
  readonly complete: boolean;
  readonly rules: number;
  readonly disabled: number;
}

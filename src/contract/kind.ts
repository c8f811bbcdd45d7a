import type { ZodType } from "zod";

/**
 * One kind of entry point, login method, credential or dialer. A value, not a class to inherit.
 *
 * `create` has no effects beyond what disposing of its result undoes. `ports` names exactly what the family may use.
 */
export interface Kind<Config, Made extends AsyncDisposable, Ports> {
  readonly kind: string;
  /** One sentence for the documentation. */
  readonly summary: string;
  /** Strict object with `kind` as its discriminator. */
  readonly schema: ZodType<Config>;
  create(config: Config, ports: Ports): Promise<Made>;
}

export interface FileRead {
  readonly bytes: Uint8Array;
  /** Permission bits as of stat(2). */
  readonly mode: number;
}

/** Reads whole files for adapters, which touch no file themselves. */
export interface FileReader {
  /** Undefined when there is no such file; throws OPERATOR_FILE_UNREADABLE for anything else, also for more than `maxBytes`. */
  read(path: string, maxBytes: number): Promise<FileRead | undefined>;
}

/** A file that grows by lines, and that several of our processes may add to. */
export interface FileAppender {
  /**
   * Calls `decide` with the file's text ("" when there is none) while nobody else of ours may write, and appends the line that it
   * returns, if any. A file that is made gets mode 0600. Throws OPERATOR_FILE_UNWRITABLE.
   */
  append(path: string, decide: (text: string) => string | undefined): Promise<void>;
}

/** A small file that is replaced as a whole, and that several of our processes may change. */
export interface FileUpdater {
  /**
   * Calls `change` with the file's text ("" when there is none) while nobody else of ours may write, and puts what it returns in
   * its place, whole or not at all, also when the machine stops in the midst of it. Undefined: it stays as it is. The file keeps
   * its mode and owner; one that is made gets mode 0600, and so do directories that were missing, 0700. Throws
   * OPERATOR_FILE_UNWRITABLE.
   */
  update(path: string, change: (text: string) => string | undefined): Promise<void>;
}

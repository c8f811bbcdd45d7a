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

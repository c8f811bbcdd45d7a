import { constants } from "node:fs";
import { type FileHandle, open, stat, unlink } from "node:fs/promises";
import type { Clock } from "#base";
import type { FileAppender, FileRead, FileReader } from "#contract";
import { appErrors } from "./errors.ts";

/** A lock held longer than this is left over from a process that died: appending a line takes milliseconds. */
const staleLockMs = 10_000;

/** How long an append waits for others. */
const lockWaitMs = 5_000;
const lockPollMs = 20;

/** What an append reads to decide. */
const maxAppendBytes = 16 * 1024 * 1024;

/** The bytes of files that were read with privileges which are gone now, by path. */
export type KeptFiles = Map<string, FileRead>;

/** Files as adapters see them. */
export class Files implements FileReader, FileAppender {
  readonly #clock: Clock;
  readonly #kept: KeptFiles;
  readonly #appending = new Map<string, Promise<void>>();
  #keeping = false;

  constructor(clock: Clock, kept: KeptFiles = new Map()) {
    this.#clock = clock;
    this.#kept = kept;
  }

  /** What was kept, to hand it on to a worker. */
  get kept(): KeptFiles {
    return this.#kept;
  }

  /**
   * While `work` runs with privileges that will be dropped, what it reads is kept: later, a file that may no longer be read is
   * taken as it was then. So a private key can belong to root alone.
   */
  async keepWhile<T>(work: () => Promise<T>): Promise<T> {
    this.#keeping = true;
    try {
      return await work();
    } finally {
      this.#keeping = false;
    }
  }

  async read(path: string, maxBytes: number): Promise<FileRead | undefined> {
    try {
      await using file = await open(path, constants.O_RDONLY | constants.O_NOCTTY | constants.O_NONBLOCK);
      const read = await readAll(file, path, maxBytes);
      if (this.#keeping) this.#kept.set(path, read);
      return read;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === "ENOENT" || code === "ENOTDIR") return undefined;
      const kept = this.#kept.get(path);
      if ((code === "EACCES" || code === "EPERM") && kept !== undefined) return kept;
      if (error instanceof appErrors.OPERATOR_FILE_UNREADABLE) throw error;
      throw new appErrors.OPERATOR_FILE_UNREADABLE(`${path}: ${reasonOf(error)}`, { cause: error });
    }
  }

  async append(path: string, decide: (text: string) => string | undefined): Promise<void> {
    const before = this.#appending.get(path) ?? Promise.resolve();
    const mine = before.catch(() => {}).then(() => this.#appendLocked(path, decide));
    this.#appending.set(path, mine);
    try {
      await mine;
    } finally {
      if (this.#appending.get(path) === mine) this.#appending.delete(path);
    }
  }

  async #appendLocked(path: string, decide: (text: string) => string | undefined): Promise<void> {
    const lock = `${path}.lock`;
    const unwritable = (cause: unknown): Error =>
      new appErrors.OPERATOR_FILE_UNWRITABLE(`${path}: ${reasonOf(cause)}`, { cause });
    await this.#acquire(lock).catch((cause: unknown) => {
      throw unwritable(cause);
    });
    try {
      const flags = constants.O_RDWR | constants.O_APPEND | constants.O_CREAT;
      const file = await open(path, flags, 0o600).catch((cause: unknown) => {
        throw unwritable(cause);
      });
      try {
        const { bytes } = await readAll(file, path, maxAppendBytes);
        const text = Buffer.from(bytes).toString("utf8");
        const line = decide(text);
        if (line === undefined) return;
        const start = text === "" || text.endsWith("\n") ? "" : "\n";
        await file.appendFile(`${start}${line}\n`).catch((cause: unknown) => {
          throw unwritable(cause);
        });
        await file.sync();
      } finally {
        await file.close();
      }
    } finally {
      await unlink(lock).catch(() => {});
    }
  }

  async #acquire(lock: string): Promise<void> {
    const deadline = this.#clock.monotonic() + lockWaitMs;
    for (;;) {
      try {
        await (await open(lock, "wx", 0o600)).close();
        return;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "EEXIST" || this.#clock.monotonic() > deadline)
          throw error;
      }
      const found = await stat(lock).catch(() => undefined);
      if (found !== undefined && this.#clock.now() - found.mtimeMs > staleLockMs)
        await unlink(lock).catch(() => {});
      else {
        await new Promise<void>((resolve) => {
          this.#clock.after(lockPollMs, resolve);
        });
      }
    }
  }
}

async function readAll(file: FileHandle, path: string, maxBytes: number): Promise<FileRead> {
  const found = await file.stat();
  if (!found.isFile()) throw new appErrors.OPERATOR_FILE_UNREADABLE(`${path} is no plain file`);
  if (found.size > maxBytes) {
    throw new appErrors.OPERATOR_FILE_UNREADABLE(
      `${path} has ${found.size} bytes, more than the ${maxBytes} allowed`,
    );
  }
  const bytes = new Uint8Array(Math.min(found.size, maxBytes));
  let length = 0;
  while (length < bytes.length) {
    const { bytesRead } = await file.read(bytes, length, bytes.length - length, length);
    if (bytesRead === 0) break;
    length += bytesRead;
  }
  return { bytes: bytes.subarray(0, length), mode: found.mode & 0o7777 };
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

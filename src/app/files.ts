import { constants } from "node:fs";
import { type FileHandle, lchown, mkdir, open, rename, stat, unlink } from "node:fs/promises";
import { dirname } from "node:path";
import type { Clock } from "#base";
import type { FileAppender, FileRead, FileReader, FileUpdater } from "#contract";
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
export class Files implements FileReader, FileAppender, FileUpdater {
  readonly #clock: Clock;
  readonly #kept: KeptFiles;
  readonly #writing = new Map<string, Promise<void>>();
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
    await this.#inTurn(path, () => appendLine(path, decide));
  }

  async update(path: string, change: (text: string) => string | undefined): Promise<void> {
    await makeFolders(dirname(path)).catch((cause: unknown) => {
      throw unwritable(path, cause);
    });
    await this.#inTurn(path, () => replaceText(path, change));
  }

  /** One after another, in this process and among all. */
  async #inTurn(path: string, work: () => Promise<void>): Promise<void> {
    const before = this.#writing.get(path) ?? Promise.resolve();
    const mine = before.catch(() => {}).then(() => this.#locked(path, work));
    this.#writing.set(path, mine);
    try {
      await mine;
    } finally {
      if (this.#writing.get(path) === mine) this.#writing.delete(path);
    }
  }

  async #locked(path: string, work: () => Promise<void>): Promise<void> {
    const lock = `${path}.lock`;
    await this.#acquire(lock).catch((cause: unknown) => {
      throw unwritable(path, cause);
    });
    try {
      await work();
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

async function appendLine(path: string, decide: (text: string) => string | undefined): Promise<void> {
  const flags = constants.O_RDWR | constants.O_APPEND | constants.O_CREAT;
  const file = await open(path, flags, 0o600).catch((cause: unknown) => {
    throw unwritable(path, cause);
  });
  try {
    const { bytes } = await readAll(file, path, maxAppendBytes);
    const text = Buffer.from(bytes).toString("utf8");
    const line = decide(text);
    if (line === undefined) return;
    const start = text === "" || text.endsWith("\n") ? "" : "\n";
    await file.appendFile(`${start}${line}\n`).catch((cause: unknown) => {
      throw unwritable(path, cause);
    });
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Folders that root makes belong to the owner of the one that they are made in: the gateway's account must be able to use them. */
async function makeFolders(folder: string): Promise<void> {
  const first = await mkdir(folder, { recursive: true, mode: 0o700 });
  if (first === undefined || process.getuid?.() !== 0) return;
  const { uid, gid } = await stat(dirname(first));
  for (let made = folder; made.length >= first.length; made = dirname(made)) await lchown(made, uid, gid);
}

/** Written beside it, made durable, and put in its place: a reader sees the old text or the new, never a part. */
async function replaceText(path: string, change: (text: string) => string | undefined): Promise<void> {
  const { text, mode, owner } = await current(path);
  const changed = change(text);
  if (changed === undefined) return;
  const beside = `${path}.new`;
  try {
    // What a process that died left there is nobody's: this one holds the lock.
    await unlink(beside).catch(() => {});
    {
      await using file = await open(beside, "wx", 0o600);
      await file.writeFile(changed);
      if (owner !== undefined && process.getuid?.() === 0) await file.chown(owner.uid, owner.gid);
      await file.chmod(mode);
      await file.sync();
    }
    await rename(beside, path);
    await using folder = await open(dirname(path), constants.O_RDONLY);
    await folder.sync();
  } catch (cause) {
    await unlink(beside).catch(() => {});
    throw unwritable(path, cause);
  }
}

async function current(path: string): Promise<{
  text: string;
  mode: number;
  owner: { readonly uid: number; readonly gid: number } | undefined;
}> {
  try {
    await using file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    const { bytes, mode } = await readAll(file, path, maxAppendBytes);
    return { text: Buffer.from(bytes).toString("utf8"), mode, owner: await file.stat() };
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "ENOENT") throw unwritable(path, cause);
    return { text: "", mode: 0o600, owner: await stat(dirname(path)).catch(() => undefined) };
  }
}

function unwritable(path: string, cause: unknown): Error {
  return new appErrors.OPERATOR_FILE_UNWRITABLE(`${path}: ${reasonOf(cause)}`, { cause });
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

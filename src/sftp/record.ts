import { Buffer } from "node:buffer";
import { createHash, hash, type Hash } from "node:crypto";
import type { Clock, Timer } from "#base";
import type { AuditEvent, Auditor, FileAction } from "#contract";
import { type Bytes, FXF, shownPath, statusText, FX } from "#ssh/sftp";
import type { Listing } from "./known.ts";

/** Characters of one path in a line of the audit. */
const maxShownChars = 4096;

function shown(path: Bytes): string {
  const text = shownPath(path);
  return text.length <= maxShownChars ? text : `${text.slice(0, maxShownChars)}…`;
}

/** A path and how it is shown. */
interface ShownNames {
  readonly named: Named;
  readonly path: string;
  readonly upstreamPath: string | undefined;
}

function shownNames(named: Named): ShownNames {
  const { path, upstream } = named;
  return { named, path: shown(path), upstreamPath: upstream === undefined ? undefined : shown(upstream) };
}

/** So much of a file is kept until it is closed, and hashed at once: a hash that can be added to costs more than a small file. */
const maxBegunBytes = 4096;

const nothing: Buffer = Buffer.alloc(0);

/** What has passed of one file in one direction. */
export class Passed {
  bytes = 0;
  /** Where the next byte lies, if all came in order from the beginning. */
  #next = 0n;
  #hash: Hash | undefined;
  /** What is to be hashed, while it is little. */
  #begun: Buffer = nothing;
  /** So far it can be hashed. */
  #hashing: boolean;
  #inOrder = true;
  /** Bytes of what follows that are still to be taken. */
  #left = 0;

  constructor(hashing: boolean) {
    this.#hashing = hashing;
  }

  /** Data from here on follow by `take`. */
  begin(offset: bigint, length: number): void {
    this.bytes += length;
    this.#inOrder &&= offset === this.#next;
    if (this.#inOrder) this.#next += BigInt(length);
    else this.spoil();
    this.#left = this.#hashing ? length : 0;
  }

  take(data: Uint8Array): void {
    if (this.#left === 0) return;
    const taken = data.length <= this.#left ? data : data.subarray(0, this.#left);
    this.#left -= taken.length;
    if (this.#hash === undefined && this.#begun.length + taken.length <= maxBegunBytes)
      this.#begun = this.#begun.length === 0 ? Buffer.from(taken) : Buffer.concat([this.#begun, taken]);
    else this.#whole().update(taken);
  }

  #whole(): Hash {
    if (this.#hash !== undefined) return this.#hash;
    this.#hash = createHash("sha256").update(this.#begun);
    this.#begun = nothing;
    return this.#hash;
  }

  /** It did not pass as it was meant to. */
  spoil(): void {
    this.#hashing = false;
    this.#hash = undefined;
    this.#begun = nothing;
    this.#left = 0;
  }

  /** Everything up to here has passed, in order. */
  isUpTo(size: bigint): boolean {
    return this.#inOrder && this.#next === size;
  }

  sum(): string | undefined {
    if (!this.#hashing) return undefined;
    return this.#hash === undefined ? hash("sha256", this.#begun, "hex") : this.#hash.digest("hex");
  }
}

/** A path, as the client says it and as it is upstream. */
export interface Named {
  readonly path: Bytes;
  readonly upstream?: Bytes | undefined;
}

/** What stands behind a handle. */
export class OpenFile {
  readonly named: Named;
  readonly directory: boolean;
  readonly flags: number;
  /** Made by this open: whoever made it may set its attributes. */
  readonly created: boolean;
  /** Why it may only be closed. */
  readonly denied: string | undefined;
  readonly read: Passed;
  readonly written: Passed;
  /** As last told. */
  size: bigint | undefined;
  /** Names of a folder's listing that were passed on. */
  entries = 0;
  /** Of a folder: what is learnt of it. */
  readonly listing: Listing | undefined;
  /** A read came to the end. */
  sawEnd = false;
  /** It was cut to what had been written: nothing is in it but that, whatever was there before. */
  cut = false;

  constructor(
    named: Named,
    options: {
      directory?: boolean;
      flags?: number;
      created?: boolean;
      size?: bigint | undefined;
      hashing: boolean;
      listing?: Listing;
      denied?: string;
    },
  ) {
    this.named = named;
    this.directory = options.directory ?? false;
    this.flags = options.flags ?? 0;
    this.created = options.created ?? false;
    this.denied = options.denied;
    this.size = options.size;
    this.listing = options.listing;
    this.read = new Passed(options.hashing && (this.flags & FXF.READ) !== 0);
    this.written = new Passed(
      options.hashing && (this.flags & FXF.WRITE) !== 0 && (this.flags & FXF.APPEND) === 0,
    );
  }

  /** SHA-256 of the whole file, if it passed whole and in order. */
  sum(): { readonly sha256: string; readonly of: "read" | "written" } | undefined {
    if (this.written.bytes > 0 || (this.flags & FXF.READ) === 0) {
      const fresh = this.created || this.cut || (this.flags & FXF.TRUNC) !== 0;
      const sha256 = fresh ? this.written.sum() : undefined;
      return sha256 === undefined ? undefined : { sha256, of: "written" };
    }
    const whole = this.size !== undefined && this.read.isUpTo(this.size);
    const sha256 = whole || this.sawEnd ? this.read.sum() : undefined;
    return sha256 === undefined ? undefined : { sha256, of: "read" };
  }
}

/** How long what is to be told may wait for more of it. */
export const tellMs = 10;

/** So much waits at most; each may keep the first bytes of a file to be hashed (`maxBegunBytes`). */
const maxLate = 64;

export interface RecorderOptions {
  readonly audit: Auditor | undefined;
  readonly channel: number;
  /** The rule wants more to be told than what is refused. */
  readonly record: boolean;
  /** Default: true. */
  readonly hash?: boolean;
  readonly clock: Pick<Clock, "now" | "after">;
}

/**
 * Tells the audit, where there is one; what is refused always, the rest if the rule wants it. Not at once: what is told of was answered
 * by the upstream, and the client has that answer first; and many files told of in one go cost a fraction of the same here and there
 * between others' work.
 */
export class Recorder {
  readonly #audit: Auditor | undefined;
  readonly #clock: Pick<Clock, "now" | "after">;
  /** To be told, in order. */
  #late: { readonly atMs: number; readonly event: () => AuditEvent }[] = [];
  #timer: Timer | undefined;
  /** The last that was told of: what happens to a file is mostly told at once, from its opening to its end. */
  #last: ShownNames | undefined;
  readonly #channel: number;
  readonly on: boolean;
  /** Whether what passes is to be hashed. */
  readonly hashing: boolean;

  constructor({ audit, channel, record, hash = true, clock }: RecorderOptions) {
    this.#audit = audit;
    this.#clock = clock;
    this.#channel = channel;
    this.on = record && audit !== undefined;
    this.hashing = this.on && hash;
  }

  /** Tells what has not been told yet. */
  tell(): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
    const late = this.#late;
    this.#late = [];
    for (const { atMs, event } of late) this.#audit?.(event(), atMs);
  }

  #later(event: () => AuditEvent): void {
    const waiting = this.#late.push({ atMs: this.#clock.now(), event });
    if (waiting === maxLate) this.tell();
    else this.#timer ??= this.#clock.after(tellMs, () => this.tell());
  }

  #shown(named: Named): ShownNames {
    if (this.#last?.named !== named) this.#last = shownNames(named);
    return this.#last;
  }

  refused(action: FileAction, path: Bytes, reason: string, to?: Bytes): void {
    if (this.#audit === undefined) return;
    this.#later(() => ({
      event: "file-refused",
      channel: this.#channel,
      action,
      path: shown(path),
      to: to === undefined ? undefined : shown(to),
      reason,
    }));
  }

  opened(named: Named, flags: number, code?: number): void {
    if (!this.on) return;
    this.#later(() => {
      const { outcome, reason } = outcomeOf(code);
      const { path, upstreamPath } = this.#shown(named);
      return {
        event: "file-open",
        channel: this.#channel,
        path,
        upstreamPath,
        access: accessOf(flags),
        outcome,
        reason,
      };
    });
  }

  changed(action: FileAction, named: Named, code: number, to?: Named): void {
    if (!this.on) return;
    this.#later(() => {
      const { path, upstreamPath } = this.#shown(named);
      const target = to === undefined ? undefined : shownNames(to);
      return {
        event: "file-change",
        channel: this.#channel,
        action,
        path,
        upstreamPath,
        ...(target === undefined ? {} : { to: target.path, upstreamTo: target.upstreamPath }),
        ...outcomeOf(code),
      };
    });
  }

  /** `code` absent: the channel ended before it was closed. */
  closed(file: OpenFile, code?: number): void {
    if (!this.on) return;
    this.#later(() => this.#closing(file, code));
  }

  #closing(file: OpenFile, code: number | undefined): AuditEvent {
    const { path, upstreamPath } = this.#shown(file.named);
    const channel = this.#channel;
    if (file.directory) return { event: "file-list", channel, path, upstreamPath, entries: file.entries };
    const sum = code === FX.OK ? file.sum() : undefined;
    return {
      event: "file-close",
      channel,
      path,
      upstreamPath,
      outcome: code === undefined ? "cut-off" : code === FX.OK ? "done" : "failed",
      bytesRead: file.read.bytes,
      bytesWritten: file.written.bytes,
      sha256: sum?.sha256,
      of: sum?.of,
    };
  }
}

function outcomeOf(code: number | undefined): {
  readonly outcome: "done" | "failed";
  readonly reason: string | undefined;
} {
  if (code === undefined || code === FX.OK) return { outcome: "done", reason: undefined };
  return { outcome: "failed", reason: statusText(code) };
}

const accesses = [
  [FXF.READ, "read"],
  [FXF.WRITE, "write"],
  [FXF.APPEND, "append"],
  [FXF.CREAT, "create"],
  [FXF.TRUNC, "truncate"],
  [FXF.EXCL, "exclusive"],
] as const;

function accessOf(flags: number): string[] {
  const told: string[] = [];
  for (const [flag, name] of accesses) if ((flags & flag) !== 0) told.push(name);
  return told;
}

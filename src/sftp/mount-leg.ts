import { Buffer } from "node:buffer";
import { type Clock, PosternError } from "#base";
import type { Auditor } from "#contract";
import {
  type Bytes,
  decodeSftpHello,
  encodeSftpHello,
  encodeSftpReply,
  encodeSftpRequest,
  FX,
  FXP,
  idOf,
  PacketStream,
  type SftpRequest,
  shownPath,
} from "#ssh/sftp";
import { sftpRoomErrors } from "./errors.ts";
import type { PathLocks } from "./locks.ts";
import { auditInMount } from "./mount-rules.ts";
import type { Usage } from "./open-files.ts";
import { type Question, statusReply } from "./plan.ts";
import type { FileRules } from "./rules.ts";
import { SftpSession } from "./session.ts";
import type { SymlinkOrder } from "./symlinks.ts";

/** A channel to the SFTP server of a mount's host. */
export interface MountWay {
  /** Which upstream it is: mounts that say the same reach the same files. */
  readonly place: string;
  readonly symlinks: SymlinkOrder;
  /** For people: user, host and port. */
  readonly upstream: string;
  /** Bytes that wait to be sent. */
  readonly queuedBytes: number;
  /** Takes bytes at once, or a copy of them. */
  send(bytes: Uint8Array): void;
  /** Its SFTP server has answered: until then, whoever made this waits no longer than is decent. */
  greeted(): void;
  close(): void;
}

/** Who hears of such a channel. */
export interface MountEnd {
  /** Bytes are lent for the call. */
  received(bytes: Uint8Array): void;
  /** What waited has been sent. */
  drained(): void;
  /** It is over; told once. */
  ended(error: PosternError): void;
}

export interface MountLegOptions {
  /** Where it is in the client's tree. */
  readonly at: Bytes;
  readonly rules: FileRules;
  readonly audit: Auditor | undefined;
  readonly channel: number;
  readonly shared: {
    readonly usage: Usage;
    readonly locks: PathLocks;
    readonly clock: Pick<Clock, "now" | "monotonic" | "after">;
  };
  /** Reaches the host. Rejects with what the client may be told. */
  readonly connect: (end: MountEnd) => Promise<MountWay>;
  /** Less is kept here than before. */
  readonly progressed: () => void;
  /** It cannot go on; told once, before what waits is answered. */
  readonly failed: (error: PosternError) => void;
}

/** What a host must have announced before it is asked for it. */
const extensionOf: Readonly<Partial<Record<SftpRequest["kind"], Bytes>>> = {
  "posix-rename": "posix-rename@openssh.com",
  hardlink: "hardlink@openssh.com",
  statvfs: "statvfs@openssh.com",
  fstatvfs: "fstatvfs@openssh.com",
  fsync: "fsync@openssh.com",
  lsetstat: "lsetstat@openssh.com",
  "copy-data": "copy-data",
};

/** Takes one reply, its length in front, its number not the client's: the receiver's own to change. */
export type TakeReply = (packet: Buffer) => void;

type State =
  | { readonly kind: "new" | "over" }
  /** The host is being reached, or has not said yet what it offers. */
  | { readonly kind: "opening"; readonly session?: SftpSession; readonly way?: MountWay }
  | { readonly kind: "open"; readonly session: SftpSession; readonly way: MountWay };

/**
 * One mount's half of a channel with several: a client of SFTP of its own at that host, confined, limited and recorded as any other
 * client of ours is. The host is reached when something is asked first.
 */
export class MountLeg {
  readonly #options: MountLegOptions;
  readonly #waiting = new Map<number, TakeReply>();
  readonly #replies: PacketStream;
  #state: State = { kind: "new" };
  #nextId = 0;
  /** Requests that wait until the host is there, or until data on their way have ended. */
  #held: { readonly request: SftpRequest; readonly bytes: number }[] = [];
  #heldBytes = 0;
  #inBody = false;
  /** A reply with data, as far as it is there. */
  #collecting: { readonly packet: Buffer; at: number } | undefined;
  #extensions: ReadonlySet<Bytes> = new Set();

  constructor(options: MountLegOptions) {
    this.#options = options;
    this.#replies = new PacketStream("server", {
      packet: (packet, bodyBytes) => {
        this.#reply(packet, bodyBytes);
        return false;
      },
      body: (data) => this.#collect(data),
      bodyEnd: () => this.#collected(),
      output: () => {},
    });
  }

  get over(): boolean {
    return this.#state.kind === "over";
  }

  /** Bytes of the client's that are kept for this host. */
  get heldBytes(): number {
    const state = this.#state;
    if (state.kind !== "open") return this.#heldBytes;
    return this.#heldBytes + state.session.heldFromClient + state.way.queuedBytes;
  }

  /** Asks the host; of WRITE, the data follow by `body`. `bodyBytes`: how many there will be. */
  ask(question: Question, take: TakeReply, bodyBytes?: number): void {
    if (this.#state.kind === "over") {
      take(Buffer.from(encodeSftpReply(statusReply(0, FX.FAILURE))));
      return;
    }
    const id = this.#freeId();
    this.#waiting.set(id, take);
    const request = { ...question, id } as SftpRequest;
    if (this.#state.kind === "open" && !this.#inBody) {
      this.#send(request, bodyBytes);
      return;
    }
    // A WRITE is never among them: its data would have to wait too.
    const bytes = encodeSftpRequest(request).length;
    this.#held.push({ request, bytes });
    this.#heldBytes += bytes;
    if (this.#state.kind === "new") this.#start();
  }

  /** Data of the WRITE that was asked last; lent for the call. */
  body(data: Uint8Array): void {
    this.#put(data);
  }

  bodyEnd(): void {
    this.#inBody = false;
    this.#putHeld();
  }

  /** The client's channel is over: nothing more is told. */
  close(): void {
    const state = this.#state;
    this.#state = { kind: "over" };
    this.#waiting.clear();
    this.#held = [];
    this.#heldBytes = 0;
    if (state.kind !== "open" && state.kind !== "opening") return;
    state.session?.close();
    state.way?.close();
  }

  #freeId(): number {
    do this.#nextId = this.#nextId >= 0x7fff_ffff ? 1 : this.#nextId + 1;
    while (this.#waiting.has(this.#nextId));
    return this.#nextId;
  }

  #start(): void {
    this.#state = { kind: "opening" };
    void this.#reach();
  }

  async #reach(): Promise<void> {
    const { connect, rules, channel, shared, at, audit, progressed } = this.#options;
    try {
      const way = await connect({
        received: (bytes) => this.#received(bytes),
        drained: progressed,
        ended: (error) => this.#fail(error),
      });
      if (this.#state.kind !== "opening") {
        way.close();
        return;
      }
      const session = new SftpSession({
        ...shared,
        rules,
        audit: auditInMount(audit, at, way.upstream),
        channel,
        place: way.place,
        symlinks: way.symlinks,
        toUpstream: (bytes) => way.send(bytes),
        toClient: (bytes) => void this.#replies.feed(bytes),
        // Nothing here is ever left unread: what may be asked for at once has a limit in its stead.
        answerable: () => {},
        progressed,
        failed: (_, error) => this.#fail(error),
      });
      this.#state = { kind: "opening", session, way };
      if (session.fromClient(encodeSftpHello(FXP.INIT))) way.send(encodeSftpHello(FXP.INIT));
    } catch (error) {
      const known = error instanceof PosternError;
      this.#fail(known ? error : new sftpRoomErrors.BUG_SFTP_MOUNT(undefined, { cause: error }));
    }
  }

  /** As the host can take it: what it does not offer is not asked of it. */
  #send(request: SftpRequest, bodyBytes = 0): void {
    const needs = extensionOf[request.kind];
    if (needs === undefined || this.#extensions.has(needs)) {
      const packet = Buffer.from(encodeSftpRequest(request));
      if (request.kind === "write") packet.writeUInt32BE(packet.length - 4 + bodyBytes);
      this.#inBody = request.kind === "write";
      this.#put(packet);
    } else if (request.kind === "posix-rename") this.#send({ ...request, kind: "rename" });
    else this.#take(Buffer.from(encodeSftpReply(statusReply(request.id, FX.OP_UNSUPPORTED))));
  }

  #put(bytes: Uint8Array): void {
    const state = this.#state;
    if (state.kind === "open" && state.session.fromClient(bytes)) state.way.send(bytes);
  }

  #putHeld(): void {
    if (this.#state.kind !== "open" || this.#inBody) return;
    this.#heldBytes = 0;
    for (const { request } of this.#held.splice(0)) this.#send(request);
  }

  #received(bytes: Uint8Array): void {
    const state = this.#state;
    if (state.kind !== "open" && state.kind !== "opening") return;
    try {
      if (state.session?.fromUpstream(bytes) === true) this.#replies.feed(bytes);
    } catch (error) {
      if (!(error instanceof PosternError)) throw error;
      this.#fail(error);
    }
  }

  #reply(packet: Uint8Array, bodyBytes: number): void {
    if (packet[0] === FXP.VERSION) {
      this.#greeted(packet);
      return;
    }
    const whole = Buffer.allocUnsafe(4 + packet.length + bodyBytes);
    whole.writeUInt32BE(packet.length + bodyBytes);
    whole.set(packet, 4);
    if (packet[0] === FXP.DATA) this.#collecting = { packet: whole, at: 4 + packet.length };
    else this.#take(whole);
  }

  #greeted(packet: Uint8Array): void {
    const state = this.#state;
    if (state.kind !== "opening" || state.session === undefined || state.way === undefined) return;
    this.#extensions = new Set(decodeSftpHello(packet).extensions.map(([name]) => name));
    this.#state = { kind: "open", session: state.session, way: state.way };
    state.way.greeted();
    // Not at once: the session is in the middle of what the host has sent.
    queueMicrotask(() => {
      this.#putHeld();
      this.#options.progressed();
    });
  }

  #collect(data: Uint8Array): void {
    const { packet, at } = this.#collecting ?? {};
    if (packet === undefined || at === undefined || this.#collecting === undefined) return;
    packet.set(data, at);
    this.#collecting.at += data.length;
  }

  #collected(): void {
    const { packet } = this.#collecting ?? {};
    this.#collecting = undefined;
    if (packet !== undefined) this.#take(packet);
  }

  #take(packet: Buffer): void {
    const id = idOf(packet.subarray(4));
    const take = this.#waiting.get(id);
    this.#waiting.delete(id);
    take?.(packet);
  }

  /** All that waits for this host is answered: it will not be done. */
  #fail(error: PosternError): void {
    const state = this.#state;
    if (state.kind === "over") return;
    const waiting = [...this.#waiting.values()];
    this.close();
    this.#options.failed(error);
    const packet = encodeSftpReply(statusReply(0, FX.FAILURE, mountText(this.#options.at, error)));
    for (const take of waiting) take(Buffer.from(packet));
  }
}

/** Which of the mounts it is about, and what the person may know. */
export function mountText(at: Bytes, error: PosternError): string {
  return `${shownPath(at)}: ${error.user}`;
}

import { Buffer } from "node:buffer";
import { type Clock, PosternError } from "#base";
import type { Auditor } from "#contract";
import {
  type Bytes,
  decodeSftpHello,
  encodeSftpHello,
  encodeSftpReply,
  FXP,
  FX,
  idOf,
  knownExtensions,
  maxSftpPacketBytes,
  PacketStream,
  sftpErrors,
  type SftpRequest,
  shownPath,
  sftpVersion,
} from "#ssh/sftp";
import type { PathLocks } from "./locks.ts";
import { type MountEnd, MountLeg, mountText, type MountWay } from "./mount-leg.ts";
import { MountRequests } from "./mount-requests.ts";
import { rulesInMount } from "./mount-rules.ts";
import type { Usage } from "./open-files.ts";
import { readable } from "./readable.ts";
import type { FileRules } from "./rules.ts";

/** Requests of one channel that wait for an answer, all mounts together; more wait unread. */
export const maxMountRequests = 256;

/** Bytes that the answers to them can have at most, with those that the client has not taken. */
export const maxMountAnswerBytes: number = 4 * 1024 * 1024;

/** Bytes of the client's that wait for hosts. */
export const maxMountHeldBytes: number = 2 * 1024 * 1024;

/** Milliseconds in which a mount that has failed is not tried again, and its requests are answered with why. */
export const mountRestMs = 2_000;

/** Bytes that an answer may have which is neither data nor a listing. */
const smallAnswerBytes = 16 * 1024;

/** A part of another host's tree, and its place in the client's. */
export interface Mount {
  /** Absolute; none lies within another. */
  readonly at: Bytes;
  /** Its root, and what else holds in it, by paths as they are in it. */
  readonly rules: FileRules;
  /** Opens a channel to its SFTP server. Rejects with what the client may be told. */
  readonly connect: (end: MountEnd) => Promise<MountWay>;
}

export interface MountedPorts {
  readonly mounts: readonly Mount[];
  /** For the whole tree, by paths as the client sees them. */
  readonly rules: FileRules;
  readonly audit: Auditor | undefined;
  /** The client's number of the channel, for the audit. */
  readonly channel: number;
  readonly usage: Usage;
  readonly locks: PathLocks;
  readonly clock: Pick<Clock, "now" | "monotonic" | "after">;
  /** Takes bytes at once; they are not changed afterwards. */
  toClient(bytes: Uint8Array): void;
  /** Bytes that the client has not taken. */
  queuedBytes(): number;
  /** A mount's host cannot be used, now or any more: `text` is for the person at the client, `at` the mount's place. */
  lost(text: string, error: PosternError, at: string): void;
  /** There may be room for more of the client's requests. */
  progressed(): void;
  /** It cannot go on; told once. */
  failed(error: PosternError): void;
}

/** One SFTP channel whose tree is put together of several: to its client a server, to each mount's host a client. */
export class MountedSftp {
  readonly #ports: MountedPorts;
  readonly #stream: PacketStream;
  readonly #requests: MountRequests;
  readonly #legs: (MountLeg | undefined)[];
  /** Why a mount has failed, and when. */
  readonly #failures = new Map<number, { readonly error: PosternError; readonly atMs: number }>();
  /** Requests that are not answered, and how long their answers may be. */
  readonly #pending = new Map<number, number>();
  #owedBytes = 0;
  /** Where the data of the WRITE go that is passing. */
  #body: MountLeg | undefined;
  #phase: "new" | "open" | "over" = "new";

  constructor(ports: MountedPorts) {
    this.#ports = ports;
    this.#legs = ports.mounts.map(() => undefined);
    this.#requests = new MountRequests({
      mounts: ports.mounts,
      rules: ports.rules,
      audit: ports.audit,
      channel: ports.channel,
      seconds: Math.floor(ports.clock.now() / 1000),
      clock: ports.clock,
      leg: (mount) => this.#leg(mount),
      answer: (reply) => this.#answer(reply.id, Buffer.from(encodeSftpReply(reply))),
      pass: (id, packet) => this.#answer(id, packet),
    });
    this.#stream = new PacketStream("client", {
      packet: (packet, bodyBytes) => {
        this.#request(packet, bodyBytes);
        return false;
      },
      body: (data) => this.#body?.body(data),
      bodyEnd: () => {
        const leg = this.#body;
        this.#body = undefined;
        leg?.bodyEnd();
      },
      output: () => {},
    });
  }

  /** No more is to be read from the client until `progressed`. */
  get full(): boolean {
    return this.#stream.waiting || this.#isFull;
  }

  /** All that the client has asked is answered. */
  get idle(): boolean {
    return this.#pending.size === 0 && !this.#stream.waiting;
  }

  /** The next bytes of the client's, lent for the call. */
  fromClient(bytes: Uint8Array): void {
    this.#guarded(() => void this.#stream.feed(bytes));
  }

  /** The client has taken some of what waited for it. */
  drained(): void {
    this.#goOn();
  }

  /** The channel is over. */
  close(): void {
    if (this.#phase === "over") return;
    this.#phase = "over";
    this.#pending.clear();
    for (const leg of this.#legs) leg?.close();
    this.#requests.close();
  }

  get #isFull(): boolean {
    if (this.#pending.size >= maxMountRequests) return true;
    if (this.#owedBytes + this.#ports.queuedBytes() >= maxMountAnswerBytes) return true;
    let held = 0;
    for (const leg of this.#legs) held += leg?.heldBytes ?? 0;
    return held >= maxMountHeldBytes;
  }

  #guarded(run: () => void): void {
    if (this.#phase === "over") return;
    try {
      run();
    } catch (error) {
      if (!(error instanceof PosternError)) throw error;
      this.close();
      this.#ports.failed(error);
    }
  }

  #request(packet: Uint8Array, bodyBytes: number): void {
    if (this.#phase === "over") return;
    if (packet[0] === FXP.INIT) {
      this.#greet(packet);
      return;
    }
    if (this.#phase !== "open") throw new sftpErrors.PEER_SFTP_ORDER("a request before the beginning");
    const id = idOf(packet);
    if (this.#pending.has(id)) throw new sftpErrors.PEER_SFTP_ORDER(`the number ${id}, which is in use`);
    const request = readable(packet);
    const owed = request === undefined ? 0 : answerBytesOf(request);
    this.#pending.set(id, owed);
    this.#owedBytes += owed;
    if (request === undefined) this.#requests.refuse(id, FX.BAD_MESSAGE);
    else this.#body = this.#requests.take(request, bodyBytes);
    if (this.#isFull) this.#stream.block();
  }

  #greet(packet: Uint8Array): void {
    if (this.#phase !== "new") throw new sftpErrors.PEER_SFTP_ORDER("INIT twice");
    const { version } = decodeSftpHello(packet);
    if (version < sftpVersion) throw new sftpErrors.PEER_SFTP_VERSION(`version ${version} of the client`);
    this.#phase = "open";
    const extensions = [...knownExtensions].filter(([name]) => name !== "users-groups-by-id@openssh.com");
    this.#ports.toClient(encodeSftpHello(FXP.VERSION, { extensions }));
  }

  /** Undefined: it has failed just now. */
  #leg(mount: number): MountLeg | { readonly why: string } {
    const kept = this.#legs[mount];
    if (kept !== undefined) return kept;
    const { mounts, rules, audit, channel, usage, locks, clock } = this.#ports;
    const plan = mounts[mount];
    if (plan === undefined) return { why: "" };
    const failure = this.#failures.get(mount);
    if (failure !== undefined && clock.monotonic() - failure.atMs < mountRestMs)
      return { why: mountText(plan.at, failure.error) };
    const leg: MountLeg = new MountLeg({
      at: plan.at,
      rules: rulesInMount(rules, plan.rules, plan.at),
      audit,
      channel,
      shared: { usage, locks, clock },
      connect: plan.connect,
      progressed: () => this.#goOn(),
      failed: (error) => {
        if (this.#legs[mount] === leg) this.#legs[mount] = undefined;
        this.#failures.set(mount, { error, atMs: clock.monotonic() });
        const reason = `${shownPath(plan.at)}: ${error.code}: ${error.message}`;
        audit?.({ event: "sftp-broken", channel, by: "upstream", reason });
        this.#ports.lost(mountText(plan.at, error), error, plan.at);
      },
    });
    this.#legs[mount] = leg;
    return leg;
  }

  /** `packet`: whole, its number still another's. */
  #answer(id: number, packet: Buffer): void {
    const owed = this.#pending.get(id);
    if (owed === undefined || this.#phase === "over") return;
    this.#pending.delete(id);
    this.#owedBytes -= owed;
    packet.writeUInt32BE(id, 5);
    this.#ports.toClient(packet);
    this.#goOn();
  }

  /** Reads on from the client, if there is room; not at once: we may be in the midst of an answer. */
  #goOn(): void {
    queueMicrotask(() => {
      if (this.#phase === "over") return;
      if (this.#stream.blocked && !this.#isFull) this.#guarded(() => this.#stream.unblock());
      this.#ports.progressed();
    });
  }
}

function answerBytesOf(request: SftpRequest): number {
  if (request.kind === "read") return Math.min(request.length, maxSftpPacketBytes);
  return request.kind === "readdir" ? maxSftpPacketBytes : smallAnswerBytes;
}

import { type Clock, PosternError } from "#base";
import type { Auditor } from "#contract";
import {
  type Bytes,
  decodeSftpHello,
  decodeSftpReply,
  encodeSftpHello,
  encodeSftpReply,
  encodeSftpRequest,
  encodeSftpRequests,
  FX,
  FXF,
  FXP,
  idOf,
  knownExtensions,
  PacketStream,
  sftpErrors,
  type SftpReply,
  type SftpRequest,
  sftpVersion,
} from "#ssh/sftp";
import { changesPaths } from "./actions.ts";
import { Confinement } from "./confinement.ts";
import { Handles } from "./handles.ts";
import { OpenFiles, type Usage } from "./open-files.ts";
import type { PathLocks } from "./locks.ts";
import { Outstanding } from "./outstanding.ts";
import { type Plan, Refusal, type Replies, statusReply, type Step, type Way } from "./plan.ts";
import { Questions } from "./questions.ts";
import { type OpenFile, Recorder } from "./record.ts";
import { readable } from "./readable.ts";
import { done, isSuccess, plain, withLength } from "./replies.ts";
import type { FileRules } from "./rules.ts";
import type { SymlinkOrder } from "./symlinks.ts";
import { plantTree } from "./tree.ts";
import { Watching } from "./watching.ts";

/** Requests of one channel that wait for an answer; more wait unread. */
export const maxOutstanding = 1024;

/**
 * A request that was on its way when its channel ended is thought to be done after so long: until then, others are kept from what
 * could lead it elsewhere, or what it could lead elsewhere.
 */
export const afterlifeMs = 2_000;

export interface SftpPorts {
  readonly rules: FileRules;
  readonly audit: Auditor | undefined;
  /** The client's number of the channel, for the audit. */
  readonly channel: number;
  /** Of the whole session. */
  readonly usage: Usage;
  readonly clock: Pick<Clock, "now" | "monotonic" | "after">;
  readonly locks: PathLocks;
  /** Which upstream it is: sessions that say the same reach the same files. */
  readonly place: string;
  readonly symlinks: SymlinkOrder;
  /** Takes bytes at once, or a copy of them. */
  toUpstream(bytes: Uint8Array): void;
  toClient(bytes: Uint8Array): void;
  /** We are about to ask something: there must be room for the answers, whatever the client reads. */
  answerable(): void;
  /** Less is kept here than before. */
  progressed(): void;
  /** It cannot go on; told once. */
  failed(by: "client" | "upstream", error: PosternError): void;
}

/** Files that the host is still closing; above, the client waits for it. */
export const maxClosing = 64;

/** A request of the client's that is not answered. */
interface Pending {
  readonly request: SftpRequest | undefined;
  readonly file?: OpenFile | undefined;
  readonly finish?: ((reply: SftpReply) => SftpReply | undefined) | undefined;
  /** The answer, if it is ours: it waits for those before it. */
  readonly answer?: Uint8Array;
  /** Gives back what the path was held by. */
  readonly release?: (() => void) | undefined;
}

/** A plan that is under way; nothing more is read from the client until it is done. */
interface Running {
  readonly plan: Plan<void>;
  /** Those of the step that waits. */
  questions: Questions | undefined;
  release: (() => void) | undefined;
}

/** One SFTP channel: reads along, and stands between where the rule wants it. */
export class SftpSession {
  readonly #ports: SftpPorts;
  readonly #recorder: Recorder;
  readonly #fromClient: PacketStream;
  readonly #fromUpstream: PacketStream;
  readonly #pending = new Outstanding<Pending>();
  /** Numbers under which files are being closed that the client has had closed. */
  readonly #closing = new Set<number>();
  readonly #files = new Handles();
  readonly #watching: Watching;
  #confinement: Confinement | undefined;
  #open: OpenFiles | undefined;
  #running: Running | undefined;
  /** A plan that waits until everything before it is answered. */
  #next: Plan<void> | undefined;
  /** A plan's request is with the upstream: nothing else is, until it is answered. */
  #alone = false;
  #phase: "new" | "greeting" | "open" | "over" = "new";
  #nextOwn = 0xf000_0000;
  /** Answers of ours that wait. */
  #answers = 0;
  /** Takes the data that are passing. */
  #up: OpenFile | undefined;
  #down: OpenFile | undefined;

  constructor(ports: SftpPorts) {
    this.#ports = ports;
    const { audit, channel, rules, clock } = ports;
    this.#recorder = new Recorder({ audit, channel, record: rules.record, hash: rules.hash, clock });
    this.#watching = new Watching(this.#recorder, this.#files);
    this.#fromClient = new PacketStream("client", {
      packet: (packet) => this.#request(packet),
      body: (data) => this.#up?.written.take(data),
      bodyEnd: () => {
        this.#up = undefined;
      },
      output: (bytes) => ports.toUpstream(bytes),
    });
    this.#fromUpstream = new PacketStream("server", {
      packet: (packet) => this.#reply(packet),
      body: (data) => this.#down?.read.take(data),
      bodyEnd: () => {
        this.#down = undefined;
        this.#sendAnswers();
      },
      output: (bytes) => ports.toClient(bytes),
    });
  }

  /** Bytes of each direction that are kept here. */
  get heldFromClient(): number {
    return this.#fromClient.heldBytes;
  }

  get heldFromUpstream(): number {
    return this.#fromUpstream.heldBytes;
  }

  /** Whether there is more to be done with what the client sent. */
  get waiting(): boolean {
    return this.#running !== undefined || this.#next !== undefined || this.#fromClient.waiting;
  }

  /** The next bytes of the client's. True: they go on just as they are; false: what goes on has been put out. */
  fromClient(bytes: Uint8Array): boolean {
    return this.#guarded("client", () => this.#fromClient.feed(bytes));
  }

  fromUpstream(bytes: Uint8Array): boolean {
    return this.#guarded("upstream", () => this.#fromUpstream.feed(bytes));
  }

  /** The channel is over. */
  close(): void {
    if (this.#phase === "over") return;
    this.#phase = "over";
    this.#unwatch?.();
    const { clock } = this.#ports;
    const running = this.#running;
    if (running !== undefined && running.questions === undefined) running.release?.();
    else if (running?.release !== undefined) clock.after(afterlifeMs, running.release);
    this.#running = undefined;
    this.#next = undefined;
    for (const { release } of this.#pending.clear())
      if (release !== undefined) clock.after(afterlifeMs, release);
    for (const file of this.#files.clear()) this.#recorder.closed(file);
    this.#recorder.tell();
  }

  #guarded(by: "client" | "upstream", run: () => boolean): boolean {
    if (this.#phase === "over") return false;
    try {
      return run();
    } catch (error) {
      if (!(error instanceof PosternError)) throw error;
      this.close();
      this.#ports.failed(by, error);
      return false;
    }
  }

  #request(packet: Uint8Array): boolean {
    if (packet[0] === FXP.INIT) return this.#init(packet);
    if (this.#phase !== "open") throw new sftpErrors.PEER_SFTP_ORDER("a request before the beginning");
    const id = idOf(packet);
    if (this.#pending.has(id) || this.#closing.has(id))
      throw new sftpErrors.PEER_SFTP_ORDER(`the number ${id}, which is in use`);
    const request = readable(packet);
    const passes = this.#confinement === undefined ? this.#watch(id, request) : this.#confine(id, request);
    if (this.#pending.size >= maxOutstanding) this.#fromClient.block();
    return passes;
  }

  #init(packet: Uint8Array): boolean {
    if (this.#phase !== "new") throw new sftpErrors.PEER_SFTP_ORDER("INIT twice");
    const { version } = decodeSftpHello(packet);
    this.#phase = "greeting";
    this.#fromClient.block();
    if (!this.#ports.rules.confining) return true;
    if (version < sftpVersion) throw new sftpErrors.PEER_SFTP_VERSION(`version ${version} of the client`);
    this.#fromClient.emit(encodeSftpHello(FXP.INIT));
    return false;
  }

  #version(packet: Uint8Array): boolean {
    if (this.#phase !== "greeting" || this.#running !== undefined)
      throw new sftpErrors.PEER_SFTP_ORDER("VERSION twice");
    const { version, extensions } = decodeSftpHello(packet);
    const { rules } = this.#ports;
    if (!rules.confining) {
      this.#phase = "open";
      if (version === sftpVersion) queueMicrotask(() => this.#goOn());
      else for (const stream of [this.#fromClient, this.#fromUpstream]) stream.letGo();
      return true;
    }
    if (version !== sftpVersion) throw new sftpErrors.PEER_SFTP_VERSION(`version ${version} of the upstream`);
    const known = extensions.filter(
      ([name]) =>
        knownExtensions.has(name) && !(rules.root !== undefined && name === "users-groups-by-id@openssh.com"),
    );
    // By this it is OpenSSH's, or does as that one does.
    const surelyExclusive = extensions.some(([name]) => name === "lsetstat@openssh.com");
    this.#run(this.#settle(encodeSftpHello(FXP.VERSION, { extensions: known }), surelyExclusive));
    return false;
  }

  /** Before the client is greeted it is made out what it may see. */
  *#settle(greeting: Uint8Array, surelyExclusive: boolean): Plan<void> {
    const { rules, usage, clock, locks, place, symlinks } = this.#ports;
    const tree = yield* plantTree(rules, clock);
    tree.known.surelyExclusive = surelyExclusive;
    this.#unwatch = locks.watch(place, tree.root, () => tree.known.forget());
    this.#open = new OpenFiles(this.#files, rules, this.#recorder, usage);
    this.#confinement = new Confinement(tree, rules, this.#recorder, this.#open, symlinks);
    this.#root = tree.root;
    this.#phase = "open";
    this.#fromUpstream.emit(greeting);
  }

  #root: Bytes = "/";
  #unwatch: (() => void) | undefined;

  /** Watched only: everything goes on as it is. */
  #watch(id: number, request: SftpRequest | undefined): boolean {
    const file = request !== undefined && "handle" in request ? this.#files.get(request.handle) : undefined;
    if (request?.kind === "write") this.#passUp(file, request.offset, request.length);
    const finish = request === undefined ? undefined : this.#watching.finish(request, file);
    this.#pending.add(id, { request, file, finish });
    return true;
  }

  #confine(id: number, request: SftpRequest | undefined): boolean {
    const confinement = this.#confinement;
    const open = this.#open;
    if (confinement === undefined || open === undefined || request === undefined)
      return this.#answer(statusReply(id, FX.BAD_MESSAGE));
    const way = confinement.way(request);
    if (way !== undefined) {
      this.#next = this.#carryOut(confinement, request, way);
      this.#fromClient.block();
      this.#begin();
      return false;
    }
    const refusal = open.refuse(request);
    if (refusal !== undefined) return this.#refuse(id, request, refusal);
    const file = "handle" in request ? this.#files.get(request.handle) : undefined;
    if (request.kind === "write") this.#passUp(file, request.offset, request.length);
    if (request.kind === "close" && file?.flags === FXF.READ && this.#closeAtOnce(request, file))
      return false;
    this.#pending.add(id, { request, file, finish: this.#watching.finish(request, file, open) });
    return true;
  }

  /** A file that was only read: what was read is with the client, and closing changes nothing. The host does it in its own time. */
  #closeAtOnce(request: SftpRequest & { readonly kind: "close" }, file: OpenFile): boolean {
    if (this.#pending.size > 0 || this.#alone || this.#closing.size >= maxClosing) return false;
    const own = this.#ownNumber();
    this.#closing.add(own);
    this.#ports.answerable();
    this.#fromClient.emit(encodeSftpRequest({ kind: "close", id: own, handle: request.handle }));
    this.#files.delete(request.handle);
    this.#recorder.closed(file, FX.OK);
    this.#answer(statusReply(request.id, FX.OK));
    return true;
  }

  #refuse(id: number, request: SftpRequest, refusal: Refusal): false {
    this.#open?.tell(request, refusal);
    return this.#answer(statusReply(id, refusal.code, refusal.text));
  }

  #passUp(file: OpenFile | undefined, offset: bigint, length: number): void {
    this.#up = file;
    file?.written.begin(offset, length);
  }

  *#carryOut(confinement: Confinement, request: SftpRequest, way: Way): Plan<void> {
    yield { alone: changesPaths(request) };
    const outcome = yield* way;
    if (outcome instanceof Refusal) {
      confinement.tellRefusal(request, outcome);
      this.#answer(statusReply(request.id, outcome.code, outcome.text));
      return;
    }
    if ("answered" in outcome) return;
    if ("answer" in outcome) {
      this.#answer(outcome.answer);
      return;
    }
    const { send, finish } = outcome;
    // Held until the upstream has done it.
    const release = this.#running?.release;
    if (this.#running !== undefined) this.#running.release = undefined;
    this.#pending.add(request.id, { request: send, finish, release });
    this.#alone = true;
    this.#fromClient.emit(encodeSftpRequest(send));
  }

  /** Ours, in its place behind those that the upstream owes. */
  #answer(reply: SftpReply): false {
    this.#pending.add(reply.id, { request: undefined, answer: encodeSftpReply(reply) });
    this.#answers++;
    this.#sendAnswers();
    return false;
  }

  #sendAnswers(): void {
    for (; this.#answers > 0; this.#answers--) {
      const answer = this.#pending.first?.answer;
      if (answer === undefined) return;
      this.#pending.shift();
      this.#fromUpstream.emit(answer);
    }
  }

  /**
   * Others may wait for what a plan holds, so nothing that this client leaves unread may stand between us and the upstream's
   * answers: there is nothing else on its way while a plan is, until its request is answered.
   */
  #begin(): void {
    const plan = this.#next;
    if (plan === undefined || this.#pending.size > 0) return;
    this.#next = undefined;
    this.#run(plan);
  }

  #run(plan: Plan<void>): void {
    this.#fromClient.block();
    this.#running = { plan, questions: undefined, release: undefined };
    this.#advance(this.#running, []);
  }

  #advance(running: Running, replies: Replies): void {
    const { done, value } = running.plan.next(replies);
    if (this.#running !== running) return;
    if (done !== true) {
      this.#take(running, value);
      return;
    }
    running.release?.();
    this.#running = undefined;
    // Not at once: we may be in the middle of what the upstream has sent.
    queueMicrotask(() => this.#goOn());
  }

  #take(running: Running, step: Step): void {
    if ("ask" in step) {
      if (step.ask.length === 0) {
        this.#advance(running, []);
        return;
      }
      this.#ports.answerable();
      // All numbers first: the first answer may come before the last question has left.
      running.questions = new Questions(step, () => this.#ownNumber());
      this.#fromClient.emit(encodeSftpRequests(step.ask, running.questions.numbers));
      return;
    }
    const { locks, place } = this.#ports;
    let granted = false;
    let asking = true;
    running.release = locks.acquire(place, this.#root, step.alone, () => {
      granted = true;
      if (!asking) this.#stepOn(running);
    });
    asking = false;
    if (granted) this.#advance(running, []);
  }

  #stepOn(running: Running): void {
    if (this.#running !== running) return;
    this.#guarded("upstream", () => {
      this.#advance(running, []);
      return true;
    });
  }

  #ownNumber(): number {
    do this.#nextOwn = this.#nextOwn === 0xffff_ffff ? 0xf000_0000 : this.#nextOwn + 1;
    while (this.#pending.has(this.#nextOwn) || this.#closing.has(this.#nextOwn));
    return this.#nextOwn;
  }

  /** Reads on from the client, if nothing keeps us from it. */
  #goOn(): void {
    if (this.#running !== undefined || this.#phase === "greeting") return;
    if (this.#next !== undefined) {
      this.#guarded("upstream", () => {
        this.#begin();
        return true;
      });
      return;
    }
    if (this.#pending.size === 0) this.#alone = false;
    if (this.#alone) return;
    if (!this.#fromClient.blocked || this.#pending.size >= maxOutstanding) return;
    this.#guarded("client", () => {
      this.#fromClient.unblock();
      return true;
    });
    this.#ports.progressed();
  }

  #reply(packet: Uint8Array): boolean {
    if (packet[0] === FXP.VERSION) return this.#version(packet);
    const id = idOf(packet);
    const ours = this.#replyToOurs(id, packet);
    if (ours !== undefined) return ours === "passes";
    if (this.#closing.delete(id)) return false;
    const pending = this.#pending.get(id);
    if (pending === undefined || pending.answer !== undefined)
      throw new sftpErrors.PEER_SFTP_ORDER("a reply to nothing");
    this.#pending.delete(id);
    const passes = this.#answered(packet, pending);
    pending.release?.();
    if (this.#fromClient.blocked) queueMicrotask(() => this.#goOn());
    return passes;
  }

  /** Undefined: it is none. */
  #replyToOurs(id: number, packet: Uint8Array): "passes" | "stays" | undefined {
    const running = this.#running;
    const questions = running?.questions;
    const at = questions?.find(id) ?? -1;
    if (running === undefined || questions === undefined || at < 0) return undefined;
    const passes = questions.take(at, decodeSftpReply(packet));
    const { replies } = questions;
    if (replies !== undefined) {
      running.questions = undefined;
      this.#advance(running, replies);
    }
    return passes ? "passes" : "stays";
  }

  /** The upstream's answer to the client. */
  #answered(packet: Uint8Array, { request, file, finish }: Pending): boolean {
    if (packet[0] === FXP.DATA) {
      const reply = decodeSftpReply(packet);
      if (request?.kind === "read" && reply.kind === "data")
        this.#passDown(file, request.offset, reply.length);
      return true;
    }
    const { confining, root } = this.#ports.rules;
    // The most frequent answers of all are not even decoded, and what was written changes nothing.
    const success = isSuccess(packet);
    if (!(success && request?.kind === "write") && (finish !== undefined || confining)) {
      const reply = success ? done : decodeSftpReply(packet);
      const told = finish?.(reply) ?? (root === undefined ? undefined : plain(reply));
      if (told !== undefined) {
        this.#fromUpstream.emit(encodeSftpReply(told));
        this.#sendAnswers();
        return false;
      }
    }
    if (this.#answers === 0) return true;
    // What waits behind it comes after it.
    this.#fromUpstream.emit(withLength(packet));
    this.#sendAnswers();
    return false;
  }

  #passDown(file: OpenFile | undefined, offset: bigint, length: number): void {
    this.#open?.readBytes(length);
    this.#down = file;
    file?.read.begin(offset, length);
  }
}

import assert from "node:assert/strict";
import type { PosternError } from "#base";
import type { AuditEvent, SftpPlan } from "#contract";
import { fileRulesFor, type MountEnd, MountedSftp, PathLocks, tellMs } from "#sftp";
import {
  decodeSftpReply,
  decodeSftpRequest,
  encodeSftpHello,
  encodeSftpReply,
  encodeSftpRequest,
  FXF,
  FXP,
  PacketStream,
  type SftpReply,
  type SftpRequest,
} from "#ssh/sftp";
import { planOf } from "./confined.ts";
import { FakeClock } from "./fake-clock.ts";
import { plainAnswer, settled } from "./sftp-ends.ts";

/** The host of a mount that the test plays. */
export class MountedHost {
  readonly asked: SftpRequest[] = [];
  readonly end: MountEnd;
  extensions: readonly (readonly [string, string])[] = [];
  /** Undefined: nothing is answered, or by the test. */
  answer: (request: SftpRequest) => SftpReply | undefined = plainAnswer;
  queuedBytes = 0;
  closed = false;
  readonly #stream: PacketStream;

  constructor(end: MountEnd) {
    this.end = end;
    this.#stream = new PacketStream("client", {
      packet: (packet) => {
        this.#packet(Uint8Array.from(packet));
        return false;
      },
      body: () => {},
      bodyEnd: () => {},
      output: () => {},
    });
  }

  receive(bytes: Uint8Array): void {
    this.#stream.feed(Uint8Array.from(bytes));
  }

  reply(reply: SftpReply, data: Uint8Array = new Uint8Array(0)): void {
    this.end.received(Buffer.concat([encodeSftpReply(reply), data]));
  }

  #packet(packet: Uint8Array): void {
    if (packet[0] === FXP.INIT) {
      const hello = encodeSftpHello(FXP.VERSION, { extensions: this.extensions });
      queueMicrotask(() => this.end.received(hello));
      return;
    }
    const request = decodeSftpRequest(packet);
    this.asked.push(request);
    const reply = this.answer(request);
    if (reply !== undefined) queueMicrotask(() => this.reply(reply));
  }
}

/** A tree of mounts at /a and /b whose client and hosts are the test's: what each is sent, decoded. */
export class MountedEnds {
  readonly hosts: MountedHost[] = [];
  readonly replies: SftpReply[] = [];
  readonly told: string[] = [];
  readonly #events: AuditEvent[] = [];
  readonly clock: FakeClock = new FakeClock();
  readonly client: MountedSftp;
  failure: PosternError | undefined;
  untaken = 0;
  /** Of mounts that cannot be reached. */
  down: PosternError | undefined;
  prepare: (host: MountedHost) => void = () => {};
  readonly #down: PacketStream;

  constructor(plan: SftpPlan = planOf({})) {
    this.#down = new PacketStream("server", {
      packet: (packet) => {
        if (packet[0] !== FXP.VERSION) this.replies.push(decodeSftpReply(packet));
        return false;
      },
      body: () => {},
      bodyEnd: () => {},
      output: () => {},
    });
    const own = fileRulesFor(planOf({ root: "/srv" }), {});
    this.client = new MountedSftp({
      mounts: ["/a", "/b"].map((at) => ({
        at,
        rules: own,
        connect: async (end) => {
          if (this.down !== undefined) throw this.down;
          const host = new MountedHost(end);
          this.prepare(host);
          this.hosts.push(host);
          return {
            place: at,
            symlinks: "openssh",
            upstream: `user@host${at}`,
            get queuedBytes() {
              return host.queuedBytes;
            },
            send: (bytes) => host.receive(bytes),
            greeted: () => {},
            close: () => {
              host.closed = true;
            },
          };
        },
      })),
      rules: fileRulesFor(plan, {}),
      audit: (event) => this.#events.push(event),
      channel: 0,
      usage: { bytes: 0 },
      locks: new PathLocks(),
      clock: this.clock,
      toClient: (bytes) => void this.#down.feed(Uint8Array.from(bytes)),
      queuedBytes: () => this.untaken,
      lost: (text) => this.told.push(text),
      progressed: () => {},
      failed: (error) => {
        this.failure = error;
      },
    });
    this.client.fromClient(encodeSftpHello(FXP.INIT));
  }

  /** What the audit was told, once there was time for it. */
  get events(): readonly AuditEvent[] {
    this.clock.advance(tellMs);
    return this.#events;
  }

  ask(request: SftpRequest, data: Uint8Array = new Uint8Array(0)): void {
    this.client.fromClient(Buffer.concat([encodeSftpRequest(request), data]));
  }

  /** The answer with this number, when all that was on its way has come. */
  async answer(id: number): Promise<SftpReply | undefined> {
    for (let turn = 0; turn < 10; turn++) await settled();
    return this.replies.find((reply) => reply.id === id);
  }

  async open(id: number, path: string, flags: number = FXF.READ): Promise<string> {
    this.ask({ kind: "open", id, path, flags, attrs: {} });
    const reply = await this.answer(id);
    assert.ok(reply?.kind === "handle", JSON.stringify(reply));
    return reply.handle;
  }
}

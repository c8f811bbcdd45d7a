import type { PosternError } from "#base";
import type { AuditEvent, SftpPlan } from "#contract";
import { fileRulesFor, PathLocks, SftpSession, type SymlinkOrder, tellMs } from "#sftp";
import {
  decodeSftpReply,
  decodeSftpRequest,
  encodeSftpHello,
  encodeSftpReply,
  encodeSftpRequest,
  FX,
  FXF,
  FXP,
  PacketStream,
  S_IFDIR,
  S_IFREG,
  type SftpReply,
  type SftpRequest,
} from "#ssh/sftp";
import { planOf } from "./confined.ts";
import { type FakeClock, fakeClock } from "./fake-clock.ts";

/** Confined to a folder. */
export const rooted: SftpPlan = planOf({ root: "/srv" });
/** Recorded alone. */
export const watched: SftpPlan = planOf({ record: true, confining: false });

export function status(id: number, code: number, message = ""): SftpReply {
  return { kind: "status", id, code, message };
}

export function open(id: number, path: string, flags: number = FXF.READ): SftpRequest {
  return { kind: "open", id, path, flags, attrs: {} };
}

/** An SFTP channel between a client and an upstream that both are the test's: what each is sent, decoded. */
export class SftpEnds {
  readonly session: SftpSession;
  readonly clock: FakeClock = fakeClock();
  readonly toUpstream: SftpRequest[] = [];
  readonly toClient: SftpReply[] = [];
  readonly bytes: { upstream: Buffer[]; client: Buffer[] } = { upstream: [], client: [] };
  readonly #events: AuditEvent[] = [];
  failure: { readonly by: string; readonly error: PosternError } | undefined;
  /** Answers what the gateway asks of its own accord and the client's paths; undefined: nothing. */
  answer: (request: SftpRequest) => SftpReply | undefined = plainAnswer;
  /** Whether what comes is SFTP at all. */
  reads = true;
  readonly #up: PacketStream;
  readonly #down: PacketStream;

  constructor(plan: SftpPlan, locks: PathLocks = new PathLocks(), symlinks: SymlinkOrder = "openssh") {
    this.#up = reading("client", (packet) => {
      if (packet[0] === FXP.INIT) return;
      const request = decodeSftpRequest(packet);
      this.toUpstream.push(request);
      const reply = this.answer(request);
      if (reply !== undefined) this.reply(reply);
    });
    this.#down = reading("server", (packet) => {
      if (packet[0] !== FXP.VERSION) this.toClient.push(decodeSftpReply(packet));
    });
    this.session = new SftpSession({
      rules: fileRulesFor(plan, {}),
      audit: (event) => this.#events.push(event),
      channel: 0,
      usage: { bytes: 0 },
      clock: this.clock,
      locks,
      place: "host",
      symlinks,
      toUpstream: (bytes) => this.#sentUp(bytes),
      toClient: (bytes) => this.#sentDown(bytes),
      answerable: () => {},
      progressed: () => {},
      failed: (by, error) => {
        this.failure = { by, error };
      },
    });
  }

  /** Both greet each other. `resolving`: the upstream's REALPATH follows links; `openssh`: and it is that one's server. */
  static async greeted(
    plan: SftpPlan,
    locks?: PathLocks,
    symlinks?: SymlinkOrder,
    resolving: boolean | "openssh" = false,
  ): Promise<SftpEnds> {
    const ends = new SftpEnds(plan, locks, symlinks);
    if (resolving !== false)
      ends.answer = (request) => {
        const link = request.kind === "realpath" && request.path === "/proc/self";
        return plainAnswer(link ? { ...request, path: "/proc/77" } : request);
      };
    ends.send(encodeSftpHello(FXP.INIT));
    const extensions = resolving === "openssh" ? ([["lsetstat@openssh.com", "1"]] as const) : [];
    ends.sendDown(encodeSftpHello(FXP.VERSION, { extensions }));
    await settled();
    return ends;
  }

  /** What the audit was told, once there was time for it. */
  get events(): readonly AuditEvent[] {
    this.clock.advance(tellMs);
    return this.#events;
  }

  #sentUp(bytes: Uint8Array): void {
    this.bytes.upstream.push(Buffer.from(bytes));
    if (this.reads) this.#up.feed(Uint8Array.from(bytes));
  }

  #sentDown(bytes: Uint8Array): void {
    this.bytes.client.push(Buffer.from(bytes));
    if (this.reads) this.#down.feed(Uint8Array.from(bytes));
  }

  send(bytes: Uint8Array): void {
    if (this.session.fromClient(bytes)) this.#sentUp(bytes);
  }

  sendDown(bytes: Uint8Array): void {
    if (this.session.fromUpstream(bytes)) this.#sentDown(bytes);
  }

  ask(request: SftpRequest, data: Uint8Array = new Uint8Array(0)): void {
    this.send(Buffer.concat([encodeSftpRequest(request), data]));
  }

  reply(reply: SftpReply, data: Uint8Array = new Uint8Array(0)): void {
    this.sendDown(Buffer.concat([encodeSftpReply(reply), data]));
  }
}

function reading(by: "client" | "server", see: (packet: Uint8Array) => void): PacketStream {
  return new PacketStream(by, {
    packet: (packet) => {
      see(Uint8Array.from(packet));
      return false;
    },
    body: () => {},
    bodyEnd: () => {},
    output: () => {},
  });
}

/** A host where every path is a folder, but for names that begin with `f`: files, and with `n`: not there. */
export function plainAnswer(request: SftpRequest): SftpReply | undefined {
  const { id } = request;
  switch (request.kind) {
    case "realpath":
      return { kind: "name", id, entries: [{ name: request.path, longname: "", attrs: {} }] };
    case "stat":
    case "lstat": {
      const last = request.path.split("/").at(-1) ?? "";
      if (last.startsWith("n"))
        return { kind: "status", id, code: FX.NO_SUCH_FILE, message: `no ${request.path}` };
      return {
        kind: "attrs",
        id,
        attrs: { size: 5n, permissions: last.startsWith("f") ? S_IFREG : S_IFDIR },
      };
    }
    default:
      return undefined;
  }
}

/** Lets what waits for the end of the turn be done. */
export const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

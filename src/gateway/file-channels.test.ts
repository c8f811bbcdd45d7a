/** SFTP through taps, pipe and channels, with a real sftp-server behind: no SSH transport, all the rest. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { test } from "node:test";
import type { AuditEvent, SftpPlan } from "#contract";
import { fileRulesFor, PathLocks } from "#sftp";
import { type Channel, ConnectionMux } from "#ssh/connection";
import { encodeExecRequest, encodeSubsystemRequest } from "#ssh/messages";
import {
  type Bytes,
  decodeSftpReply,
  encodeSftpHello,
  encodeSftpRequest,
  FXF,
  FXP,
  PacketStream,
  type SftpReply,
  type SftpRequest,
} from "#ssh/sftp";
import { noSftpServer, planOf } from "#test/support/confined";
import { fakeClock } from "#test/support/fake-clock";
import { packetPipe } from "#test/support/packet-pipe";
import { tappedPipe } from "#test/support/tapped-pipe";
import { tempDir, type TempDir } from "#test/support/temp-dir";
import { FileChannels } from "./file-channels.ts";
import { SessionTaps } from "./session-taps.ts";

interface Size {
  readonly windowBytes: number;
  readonly maxPacketBytes: number;
}

interface Ends extends AsyncDisposable {
  readonly client: ConnectionMux;
  readonly events: AuditEvent[];
  /** What the upstream's programs were sent, by their names. */
  readonly received: Map<string, Buffer[]>;
}

const usual: Size = { windowBytes: 2 * 1024 * 1024, maxPacketBytes: 32 * 1024 };

/** A client and an upstream whose subsystem sftp is a real one, and whose command `cat` sends back what it gets. */
function joined(
  plan: SftpPlan,
  clientSize: Size = usual,
  upstreamSize: Size = usual,
  maxUnread = 64,
  locks: PathLocks = new PathLocks(),
): Ends {
  const [clientEnd, downstream] = packetPipe({ maxUnread });
  const [serverEnd, upstream] = packetPipe({ maxUnread });
  const events: AuditEvent[] = [];
  const audit = (event: AuditEvent): number => events.push(event);
  const files = new FileChannels({
    rules: fileRulesFor(plan, {}),
    audit,
    clock: fakeClock(),
    locks,
    symlinks: "openssh",
    place: "host",
    client: downstream,
    upstream,
  });
  tappedPipe({
    downstream,
    upstream,
    taps: (client) => new SessionTaps({ permissions: undefined, audit, files, client }),
    drained: (side) => files.drained(side === "downstream" ? "client" : "upstream"),
  });
  const received = new Map<string, Buffer[]>();
  const gone: Promise<unknown>[] = [];
  void new ConnectionMux(serverEnd, {
    limits: upstreamSize,
    channels: new Map([
      [
        "session",
        (offer) => {
          const channel: Channel = offer.accept({
            request: ({ type, data }) => {
              const name = Buffer.from(data).toString("latin1");
              if (type === "subsystem" && name.includes("sftp")) {
                const server = spawn("/usr/lib/openssh/sftp-server", [], {
                  stdio: ["pipe", "pipe", "ignore"],
                });
                gone.push(new Promise((resolve) => server.once("close", resolve)));
                channel.pipe(server.stdin);
                server.stdout.pipe(channel);
                server.stdin.on("error", () => {});
                channel.once("close", () => server.kill());
              } else {
                const pieces: Buffer[] = [];
                received.set(type, pieces);
                channel.on("data", (data: Buffer) => {
                  pieces.push(data);
                  channel.write(data);
                });
                channel.on("end", () => channel.end());
              }
              return true;
            },
          });
        },
      ],
    ]),
  });
  const client = new ConnectionMux(clientEnd, { limits: clientSize });
  return {
    client,
    events,
    received,
    [Symbol.asyncDispose]: async () => {
      client.disconnect();
      files.close();
      serverEnd.destroy();
      await Promise.all(gone);
    },
  };
}

async function session(ends: Ends): Promise<Channel> {
  const outcome = await ends.client.open("session");
  assert.ok(outcome.opened);
  return outcome.channel;
}

/** SFTP on a channel: requests go out at once, replies are waited for by number. */
class Sftp {
  readonly #channel: Channel;
  readonly #waiting = new Map<number, (reply: SftpReply & { readonly data: Buffer }) => void>();
  #data: Buffer[] = [];
  #reply: SftpReply | undefined;
  #id = 0;

  constructor(channel: Channel) {
    this.#channel = channel;
    const stream = new PacketStream("server", {
      packet: (packet) => {
        if (packet[0] === FXP.VERSION) return false;
        const reply = decodeSftpReply(packet);
        if (reply.kind === "data") this.#reply = reply;
        else this.#settle(reply);
        return false;
      },
      body: (data) => this.#data.push(Buffer.from(data)),
      bodyEnd: () => {
        if (this.#reply !== undefined) this.#settle(this.#reply);
      },
      output: () => {},
    });
    channel.on("data", (chunk: Buffer) => stream.feed(chunk));
    channel.write(encodeSftpHello(FXP.INIT));
  }

  #settle(reply: SftpReply): void {
    const data = Buffer.concat(this.#data.splice(0));
    this.#waiting.get(reply.id)?.({ ...reply, data });
    this.#waiting.delete(reply.id);
  }

  async ask(
    make: (id: number) => SftpRequest,
    data?: Buffer,
  ): Promise<SftpReply & { readonly data: Buffer }> {
    const id = ++this.#id;
    const answer = new Promise<SftpReply & { readonly data: Buffer }>((resolve) =>
      this.#waiting.set(id, resolve),
    );
    const head = encodeSftpRequest(make(id));
    this.#channel.write(data === undefined ? head : Buffer.concat([head, data]));
    return await answer;
  }

  async open(path: Bytes, flags: number): Promise<Bytes> {
    const reply = await this.ask((id) => ({ kind: "open", id, path, flags, attrs: {} }));
    assert.equal(reply.kind, "handle");
    return reply.kind === "handle" ? reply.handle : "";
  }
}

const block = 32 * 1024;
const hash = (data: Buffer): string => createHash("sha256").update(data).digest("hex");

/** Up and down again, many requests at once. */
async function carry(ends: Ends, path: Bytes, data: Buffer): Promise<void> {
  const channel = await session(ends);
  assert.equal(await channel.request("subsystem", encodeSubsystemRequest("sftp")), true);
  const sftp = new Sftp(channel);
  const writing = await sftp.open(path, FXF.WRITE | FXF.CREAT | FXF.TRUNC);
  const offsets = Array.from({ length: Math.ceil(data.length / block) }, (_, at) => at * block);
  const written = await Promise.all(
    offsets.map((offset) => {
      const piece = data.subarray(offset, offset + block);
      return sftp.ask(
        (id) => ({ kind: "write", id, handle: writing, offset: BigInt(offset), length: piece.length }),
        piece,
      );
    }),
  );
  assert.ok(written.every((reply) => reply.kind === "status" && reply.code === 0));
  await sftp.ask((id) => ({ kind: "close", id, handle: writing }));
  const reading = await sftp.open(path, FXF.READ);
  const pieces = await Promise.all(
    offsets.map((offset) =>
      sftp.ask((id) => ({ kind: "read", id, handle: reading, offset: BigInt(offset), length: block })),
    ),
  );
  assert.equal(hash(Buffer.concat(pieces.map((piece) => piece.data))), hash(data));
  await sftp.ask((id) => ({ kind: "close", id, handle: reading }));
  const closed = new Promise<void>((resolve) => channel.once("close", () => resolve()));
  channel.end();
  channel.destroy();
  await closed;
}

async function ground(): Promise<TempDir> {
  const folder = await tempDir();
  await mkdir(folder.at("root"));
  return folder;
}

test("files pass whole, whatever the windows and packets of both sides", {
  skip: noSftpServer,
  timeout: 60_000,
}, async () => {
  const data = randomBytes(3_000_000);
  const sizes: readonly (readonly [Size, Size])[] = [
    [usual, usual],
    // dropbear's, and PuTTY's.
    [usual, { windowBytes: 24 * 1024, maxPacketBytes: 16 * 1024 }],
    [{ windowBytes: 24 * 1024, maxPacketBytes: 16 * 1024 }, usual],
    [
      { windowBytes: 0x7fff_ffff, maxPacketBytes: 0x4000 },
      { windowBytes: 0x7fff_ffff, maxPacketBytes: 0x4000 },
    ],
    [
      { windowBytes: 1000, maxPacketBytes: 333 },
      { windowBytes: 700, maxPacketBytes: 600 },
    ],
  ];
  for (const [clientSize, upstreamSize] of sizes)
    for (const confining of [true, false]) {
      await using folder = await ground();
      const small = clientSize.windowBytes < 10_000;
      const sent = small ? data.subarray(0, 300_000) : data;
      const plan = confining
        ? planOf({ root: folder.at("root"), record: true })
        : planOf({ record: true, confining });
      await using ends = joined(plan, clientSize, upstreamSize, small ? 3 : 64);
      await carry(ends, confining ? "/file" : folder.at("root", "file"), sent);
      assert.equal(hash(await readFile(folder.at("root", "file"))), hash(sent));
      const sums = ends.events.flatMap((event) => (event.event === "file-close" ? [event.sha256] : []));
      assert.deepEqual(
        sums,
        [hash(sent), confining ? hash(sent) : undefined],
        `${clientSize.windowBytes} ${confining}`,
      );
    }
});

test("other programs pass unread, with the whole window", {
  skip: noSftpServer,
  timeout: 60_000,
}, async () => {
  await using ends = joined(
    planOf({ record: true, confining: false }),
    { windowBytes: 50_000_000, maxPacketBytes: block },
    { windowBytes: 50_000_000, maxPacketBytes: block },
  );
  const channel = await session(ends);
  assert.equal(await channel.request("exec", encodeExecRequest("cat")), true);
  const data = randomBytes(8_000_000);
  channel.end(data);
  const back: Buffer[] = [];
  for await (const chunk of channel as AsyncIterable<Buffer>) back.push(chunk);
  assert.equal(hash(Buffer.concat(back)), hash(data));
});

test("what comes before a program is dropped, and there is one program on a channel", {
  skip: noSftpServer,
}, async () => {
  await using folder = await ground();
  await writeFile(folder.at("root", "file"), "inside");
  await using ends = joined(planOf({ root: folder.at("root") }));
  const channel = await session(ends);
  channel.write("GARBAGE that a server could keep for its program");
  assert.equal(await channel.request("subsystem", encodeSubsystemRequest("sftp")), true);
  const sftp = new Sftp(channel);
  assert.equal((await sftp.ask((id) => ({ kind: "stat", id, path: "/file" }))).kind, "attrs");
  assert.equal(await channel.request("exec", encodeExecRequest("cat")), false);
  assert.equal(ends.received.size, 0);
  assert.equal((await sftp.ask((id) => ({ kind: "stat", id, path: "/file" }))).kind, "attrs");
});

test("a channel that cannot be read is ended, in words, and others go on", {
  skip: noSftpServer,
}, async () => {
  await using folder = await ground();
  await using ends = joined(planOf({ root: folder.at("root") }));
  const channel = await session(ends);
  const other = await session(ends);
  assert.equal(await other.request("subsystem", encodeSubsystemRequest("sftp")), true);
  const sftp = new Sftp(other);
  assert.equal(await channel.request("subsystem", encodeSubsystemRequest("sftp")), true);
  const words: Buffer[] = [];
  channel.stderr.on("data", (data: Buffer) => words.push(data));
  const closed = new Promise<void>((resolve) => channel.once("close", () => resolve()));
  channel.resume();
  channel.write(Buffer.from("GET / HTTP/1.1\r\n\r\n"));
  await closed;
  assert.match(
    Buffer.concat(words).toString(),
    /Your program sent an SFTP packet of a size that is not allowed/,
  );
  const broken = ends.events.find((event) => event.event === "sftp-broken");
  assert.equal(broken?.by, "client");
  assert.equal((await sftp.ask((id) => ({ kind: "stat", id, path: "/" }))).kind, "attrs");
});

test("a channel that ends in the middle of a file: the record says so", { skip: noSftpServer }, async () => {
  await using folder = await ground();
  await using ends = joined(planOf({ root: folder.at("root"), record: true }));
  const channel = await session(ends);
  assert.equal(await channel.request("subsystem", encodeSubsystemRequest("sftp")), true);
  const sftp = new Sftp(channel);
  const handle = await sftp.open("/half", FXF.WRITE | FXF.CREAT);
  await sftp.ask((id) => ({ kind: "write", id, handle, offset: 0n, length: 4 }), Buffer.from("half"));
  // A packet that never ends.
  channel.write(encodeSftpRequest({ kind: "write", id: 99, handle, offset: 4n, length: 100_000 }));
  const closed = new Promise<void>((resolve) => channel.once("close", () => resolve()));
  channel.end();
  channel.destroy();
  await closed;
  const record = ends.events.find((event) => event.event === "file-close");
  assert.deepEqual([record?.outcome, record?.sha256], ["cut-off", undefined]);
});

test("a client that reads nothing holds up nobody else, and is not read for ever", {
  skip: noSftpServer,
}, async () => {
  await using folder = await ground();
  await writeFile(folder.at("root", "file"), randomBytes(100_000));
  const locks = new PathLocks();
  const plan = planOf({ root: folder.at("root") });
  const little: Size = { windowBytes: 20_000, maxPacketBytes: 1000 };
  await using deaf = joined(plan, little, usual, 64, locks);
  await using other = joined(plan, usual, usual, 64, locks);
  const channel = await session(deaf);
  assert.equal(await channel.request("subsystem", encodeSubsystemRequest("sftp")), true);
  const sftp = new Sftp(channel);
  const handle = await sftp.open("/file", FXF.READ);
  channel.pause();
  const requests: Uint8Array[] = [];
  for (let id = 1000; id < 1100; id++)
    requests.push(encodeSftpRequest({ kind: "read", id, handle, offset: 0n, length: block }));
  requests.push(encodeSftpRequest({ kind: "rename", id: 2000, from: "/file", to: "/renamed" }));
  for (let id = 3000; id < 60_000; id++)
    requests.push(encodeSftpRequest({ kind: "fstat", id, handle: "a handle that is not there" }));
  channel.write(Buffer.concat(requests));
  const mine = await session(other);
  assert.equal(await mine.request("subsystem", encodeSubsystemRequest("sftp")), true);
  const free = new Sftp(mine);
  for (let round = 0; round < 20; round++) {
    const reply = await free.ask((id) => ({ kind: "rename", id, from: "/none", to: "/other" }));
    assert.equal(reply.kind, "status");
  }
  assert.ok(channel.writableLength > 0, "what it sends is left with it");
});

import assert from "node:assert/strict";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import { PosternError, silentLog } from "#base";
import type { AuditEvent, JumpDesk, JumpOpened, JumpQuestion, ServedSession } from "#contract";
import { type Channel, ConnectionMux, type OpenOutcome } from "#ssh/connection";
import {
  decodeExitStatus,
  encodeDirectStreamlocal,
  encodeExecRequest,
  encodePtyRequest,
  encodeSubsystemRequest,
  encodeTcpipChannel,
  OPEN_FAILURE,
} from "#ssh/messages";
import { FakeClock } from "#test/support/fake-clock";
import { packetPipe } from "#test/support/packet-pipe";
import { settled } from "#test/support/raw-peer";
import { createJump } from "./jump.ts";

/** Rows of no table: what is defined stands in the documentation. */
const rejections: Readonly<Record<string, PosternError>> = {
  denied: new PosternError("DENIED_TEST", { user: "Not for you.", operator: "test" }),
  full: new PosternError("DENIED_TEST_FULL", { user: "Too many.", operator: "test" }),
  down: new PosternError("UPSTREAM_TEST", { user: "It is down.", operator: "test" }),
};

/** A desk whose targets echo, or fail as their names say. */
class EchoDesk implements JumpDesk {
  readonly asked: JumpQuestion[] = [];
  readonly streams: PassThrough[] = [];
  readonly forcedCommand: string | undefined;

  constructor(forcedCommand?: string) {
    this.forcedCommand = forcedCommand;
  }

  targets(): ReturnType<JumpDesk["targets"]> {
    return [{ name: "web1", names: [], tags: [] }];
  }

  refusal(): undefined {
    return undefined;
  }

  async open(question: JumpQuestion): Promise<JumpOpened> {
    this.asked.push(question);
    const failure = rejections[question.name];
    if (failure !== undefined) throw failure;
    if (question.name === "broken") throw new Error("secret detail");
    return {
      join: (client) => {
        const echo = new PassThrough();
        this.streams.push(echo);
        client.pipe(echo).pipe(client);
        return { ended: new Promise((resolve) => client.once("close", resolve)) };
      },
      [Symbol.dispose]: () => {},
    };
  }
}

interface Served {
  readonly mux: ConnectionMux;
  readonly desk: EchoDesk;
  readonly clock: FakeClock;
  readonly events: AuditEvent[];
  readonly ended: Promise<unknown>;
}

function served(conn: ServedSession["conn"]): ServedSession {
  return {
    conn,
    desk: new EchoDesk(),
    user: "ada",
    keepalive: { intervalMs: 0, maxMissed: 3 },
    maxChannels: 10,
    audit: undefined,
    log: silentLog,
  };
}

function serve(forcedCommand?: string, more: Partial<ServedSession> = {}): Served {
  const [near, far] = packetPipe();
  const desk = new EchoDesk(forcedCommand);
  const clock = new FakeClock();
  const events: AuditEvent[] = [];
  const session: ServedSession = {
    conn: far,
    desk,
    user: "ada",
    keepalive: { intervalMs: 0, maxMissed: 3 },
    maxChannels: 10,
    audit: (event) => void events.push(event),
    log: silentLog,
    ...more,
  };
  const ended = createJump({ clock }).serve(session);
  return { mux: new ConnectionMux(near), desk, clock, events, ended };
}

async function direct(mux: ConnectionMux, host: string, port = 22): Promise<OpenOutcome> {
  const data = encodeTcpipChannel({ host, port, originAddress: "127.0.0.1", originPort: 1 });
  return await mux.open("direct-tcpip", { data });
}

interface Ran {
  readonly granted: boolean;
  readonly stdout: string;
  readonly stderr: string;
  readonly status: number | undefined;
}

async function ask(mux: ConnectionMux, type: string, data?: Uint8Array, terminal = false): Promise<Ran> {
  let status: number | undefined;
  const outcome = await mux.open("session", {
    request: (request) => {
      if (request.type === "exit-status") status = decodeExitStatus(request.data);
      return false;
    },
  });
  assert(outcome.opened);
  const { channel } = outcome;
  const texts = { stdout: "", stderr: "" };
  channel.on("data", (chunk: Buffer) => (texts.stdout += chunk.toString()));
  channel.stderr.on("data", (chunk: Buffer) => (texts.stderr += chunk.toString()));
  const size = { columns: 80, rows: 24, widthPixels: 0, heightPixels: 0 };
  if (terminal)
    await channel.request("pty-req", encodePtyRequest({ term: "xterm", ...size, modes: new Uint8Array() }));
  const granted = await channel.request(type, data);
  channel.end();
  await channel.over;
  await settled();
  return { granted, ...texts, status };
}

test("clients are told the gateway's host keys, and those that they ask for are proven", async () => {
  const told: string[] = [];
  const [near, far] = packetPipe();
  const news = {
    type: "hostkeys-00@openssh.com",
    data: Buffer.from("keys"),
    prove: async ({ type, data }: { readonly type: string; readonly data: Uint8Array }) =>
      type === "prove" && data[0] === 1 ? Buffer.from("proof") : undefined,
  };
  const clock = new FakeClock();
  const session = { ...served(far), hostKeys: news };
  void createJump({ clock }).serve(session);
  const mux = new ConnectionMux(near, {
    globalRequest: ({ type, data }) => {
      told.push(`${type} ${Buffer.from(data).toString()}`);
      return false;
    },
  });
  const right = await mux.request("prove", Uint8Array.of(1));
  assert.deepEqual([right.success, Buffer.from(right.data).toString()], [true, "proof"]);
  assert.equal((await mux.request("prove", Uint8Array.of(2))).success, false);
  assert.equal((await mux.request("tcpip-forward", Uint8Array.of(1))).success, false);
  assert.deepEqual(told, ["hostkeys-00@openssh.com keys"]);
});

test("direct channels are joined with what the desk opens, by name and port or by path", async () => {
  const { mux, desk } = serve();
  const tcp = await direct(mux, "web1", 2222);
  assert(tcp.opened);
  tcp.channel.write("hello");
  const { value } = (await tcp.channel.iterator({ destroyOnReturn: false }).next()) as { value: Buffer };
  assert.equal(value.toString(), "hello");
  const path = "/home/host/web2.sock";
  const unix = await mux.open("direct-streamlocal@openssh.com", { data: encodeDirectStreamlocal(path) });
  assert(unix.opened);
  assert.deepEqual(desk.asked, [
    { name: "web1", port: 2222 },
    { name: "web2", path },
  ]);
});

const failures: readonly [string, number, string][] = [
  ["denied", OPEN_FAILURE.ADMINISTRATIVELY_PROHIBITED, "Not for you."],
  ["full", OPEN_FAILURE.RESOURCE_SHORTAGE, "Too many."],
  ["down", OPEN_FAILURE.CONNECT_FAILED, "It is down."],
  ["broken", OPEN_FAILURE.CONNECT_FAILED, "internal error"],
];
for (const [name, reason, description] of failures)
  test(`an opening that is ${name} says so, and no more`, async () => {
    const { mux } = serve();
    assert.deepEqual(await direct(mux, name), { opened: false, reason, description });
  });

test("channels that a jump host has no use for are refused in words, and so is all else", async () => {
  const { mux } = serve();
  for (const type of ["x11", "tun@openssh.com", "forwarded-tcpip", "auth-agent@openssh.com"]) {
    const outcome = await mux.open(type);
    assert(!outcome.opened);
    assert.equal(outcome.reason, OPEN_FAILURE.ADMINISTRATIVELY_PROHIBITED);
    assert.match(outcome.description, /^a jump host /);
  }
  const unknown = await mux.open("something@example.com");
  assert.equal(unknown.opened ? undefined : unknown.reason, OPEN_FAILURE.UNKNOWN_CHANNEL_TYPE);
  assert.equal((await mux.request("tcpip-forward")).success, false);
});

test("commands: the list, help, nc, and nothing else", async () => {
  const { mux, desk, events } = serve();
  assert.deepEqual(await ask(mux, "exec", encodeExecRequest("ls")), {
    granted: true,
    stdout: "web1\n",
    stderr: "",
    status: 0,
  });
  const help = await ask(mux, "exec", encodeExecRequest("help"));
  assert.equal(help.status, 0);
  assert.match(help.stderr, /ssh -J/);
  const other = await ask(mux, "exec", encodeExecRequest("rm -rf /"));
  assert.deepEqual([other.granted, other.status, other.stdout], [true, 127, ""]);
  const shell = await ask(mux, "shell", undefined, true);
  assert.deepEqual([shell.status, shell.stderr], [1, ""]);
  assert.match(shell.stdout, /no shell.*\r\n/);
  const files = await ask(mux, "subsystem", encodeSubsystemRequest("sftp"));
  assert.equal(files.status, 1);
  assert.match(files.stderr, /use -J/);
  assert.equal((await ask(mux, "exec", encodeExecRequest("nc web1 22"))).status, 0);
  assert.match((await ask(mux, "exec", encodeExecRequest("nc denied 22"))).stderr, /^Not for you\.\n$/);
  assert.deepEqual(desk.asked.at(0), { name: "web1", port: 22 });
  assert.deepEqual(
    events.map((event) => (event.event === "request" ? [event.type, event.outcome] : [])),
    [
      ["exec", "allowed"],
      ["exec", "allowed"],
      ["exec", "allowed"],
      ["shell", "allowed"],
      ["subsystem", "refused"],
      ["exec", "allowed"],
      ["exec", "allowed"],
    ],
  );
});

test("a forced command is what runs, whatever is asked for", async () => {
  const { mux, events } = serve("ls");
  assert.equal((await ask(mux, "exec", encodeExecRequest("nc web2 22"))).stdout, "web1\n");
  assert.equal((await ask(mux, "shell")).stdout, "web1\n");
  const [first] = events;
  assert(first?.event === "request");
  assert.deepEqual([first.outcome, first.command, first.forced], ["replaced", "nc web2 22", "ls"]);
});

test("one program for each session", async () => {
  const { mux } = serve();
  const outcome = await mux.open("session");
  assert(outcome.opened);
  const channel: Channel = outcome.channel;
  const asked = [
    channel.request("exec", encodeExecRequest("nc web1 22")),
    channel.request("exec", encodeExecRequest("ls")),
  ];
  assert.deepEqual(await Promise.all(asked), [true, false]);
});

test("more channels than allowed are refused", async () => {
  const { mux } = serve(undefined, { maxChannels: 2 });
  const outcomes = [await direct(mux, "a"), await direct(mux, "b"), await direct(mux, "c")];
  assert.deepEqual(
    outcomes.map((outcome) => (outcome.opened ? "open" : outcome.reason)),
    ["open", "open", OPEN_FAILURE.RESOURCE_SHORTAGE],
  );
});

test("a silent client is asked, and one that never answers is dropped", async () => {
  const keepalive = { intervalMs: 1000, maxMissed: 2 };
  const [near, far] = packetPipe();
  const clock = new FakeClock();
  const desk = new EchoDesk();
  const asked: number[] = [];
  near.attach({ packet: ({ bytes, start }) => void asked.push(bytes[start] ?? 0), closed: () => {} });
  const ended = createJump({ clock }).serve({
    conn: far,
    desk,
    user: "ada",
    keepalive,
    maxChannels: 1,
    audit: undefined,
    log: silentLog,
  });
  for (let turn = 0; turn < 4; turn++) {
    clock.advance(1000);
    await settled();
  }
  assert.equal((await ended).kind, "local");
  assert.deepEqual(asked, [80, 80]);
});

import assert from "node:assert/strict";
import { connect } from "node:net";
import { test } from "node:test";
import { type Clock, systemClock } from "#base";
import { Link } from "#link";
import { defaultAlgorithms, Slow, systemRandom } from "#ssh/algorithms";
import { type Channel, ConnectionMux } from "#ssh/connection";
import { generatePrivateKey, type PrivateKey } from "#ssh/keys";
import {
  decodeExitSignal,
  decodeExitStatus,
  encodeEnvRequest,
  encodeExecRequest,
  encodePtyRequest,
  encodeSignalRequest,
  encodeSubsystemRequest,
  encodeTerminalModes,
  encodeWindowChange,
} from "#ssh/messages";
import { type PacketConn, payloadOf } from "#ssh/transport";
import { UserauthClient, type UserauthClientEvent } from "#ssh/userauth";
import { packetPipe } from "#test/support/packet-pipe";
import { settled } from "#test/support/raw-peer";
import { demoGraceMs, serveConn, startDemoUpstream } from "./index.ts";

const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text));

/** Tries a password, or a key, until the server has said yes or no. */
function logIn(conn: PacketConn, user: string, proof: string | PrivateKey): Promise<boolean> {
  const client = new UserauthClient({
    send: (payload) => conn.send(payload),
    sessionId: conn.sessionId,
    hostKey: conn.hostKey,
    user,
  });
  return new Promise((resolve) => {
    let tried = false;
    const go = (event: UserauthClientEvent | undefined): void => {
      if (event?.kind === "success") resolve(true);
      if (event?.kind === "choose" && tried) resolve(false);
      if (event?.kind === "choose" && !tried) {
        tried = true;
        if (typeof proof === "string") client.tryPassword(bytes(proof));
        else client.tryKey(proof);
      }
      if (event?.kind === "need-signature" && typeof proof !== "string") {
        const signature = proof.sign(event.algorithm, event.data);
        assert(!(signature instanceof Slow));
        client.signed(signature);
      }
    };
    conn.attach({ packet: (packet) => go(client.receive(payloadOf(packet))), closed: () => resolve(false) });
    client.start();
  });
}

interface Ran {
  readonly channel: Channel;
  stdout: string;
  stderr: string;
  exit: number | string | undefined;
  readonly done: Promise<Ran>;
}

/** A session whose output is gathered. */
async function session(mux: ConnectionMux): Promise<Ran> {
  const exits: (number | string)[] = [];
  const outcome = await mux.open("session", {
    request: ({ type, data }) => {
      if (type === "exit-status") exits.push(decodeExitStatus(data));
      if (type === "exit-signal") exits.push(decodeExitSignal(data).signal);
      return false;
    },
  });
  assert(outcome.opened);
  const { channel } = outcome;
  const ran: { -readonly [Key in keyof Ran]: Ran[Key] } = {
    channel,
    stdout: "",
    stderr: "",
    exit: undefined,
    done: channel.over.then(async () => {
      await settled();
      ran.exit = exits[0];
      return ran;
    }),
  };
  channel.on("data", (chunk: Buffer) => (ran.stdout += chunk.toString()));
  channel.stderr.on("data", (chunk: Buffer) => (ran.stderr += chunk.toString()));
  return ran;
}

async function demo(clock: Clock = systemClock): Promise<ConnectionMux> {
  const [clientConn, serverConn] = packetPipe();
  void serveConn(serverConn, { users: { alice: "secret" }, greeting: "hello\n", clock });
  assert(await logIn(clientConn, "alice", "secret"));
  return new ConnectionMux(clientConn);
}

async function exec(command: string, input?: string | Buffer): Promise<Ran> {
  const ran = await session(await demo());
  assert.equal(await ran.channel.request("exec", encodeExecRequest(command)), true);
  if (input !== undefined) ran.channel.end(input);
  return await ran.done;
}

const pty = (modes = new Map<number, number>()): Uint8Array =>
  encodePtyRequest({
    term: "xterm",
    columns: 80,
    rows: 24,
    widthPixels: 0,
    heightPixels: 0,
    modes: encodeTerminalModes(modes),
  });

/** Waits until the output ends with this text. */
async function shows(ran: Ran, text: string): Promise<void> {
  for (let turn = 0; turn < 1000 && !ran.stdout.endsWith(text); turn++) await settled();
  assert(ran.stdout.endsWith(text), JSON.stringify(ran.stdout));
}

async function terminal(modes?: Map<number, number>): Promise<Ran> {
  const ran = await session(await demo());
  assert.equal(await ran.channel.request("pty-req", pty(modes)), true);
  assert.equal(await ran.channel.request("shell"), true);
  await shows(ran, "demo$ ");
  return ran;
}

test("only the right password of a known user logs in", async () => {
  for (const [user, password, expected] of [
    ["alice", "secret", true],
    ["alice", "Secret", false],
    ["alice", "", false],
    ["bob", "", false],
    ["__proto__", "", false],
    ["toString", "", false],
  ] as const) {
    const [clientConn, serverConn] = packetPipe();
    void serveConn(serverConn, { users: { alice: "secret" } });
    assert.equal(await logIn(clientConn, user, password), expected, `${user} ${password}`);
  }
});

test("a key that is listed for the user logs in, another does not", async () => {
  const key = generatePrivateKey("ssh-ed25519");
  for (const [user, offered, expected] of [
    ["alice", key, true],
    ["bob", key, false],
    ["alice", generatePrivateKey("ssh-ed25519"), false],
  ] as const) {
    const [clientConn, serverConn] = packetPipe();
    void serveConn(serverConn, { users: {}, keys: { alice: [key.blob] } });
    assert.equal(await logIn(clientConn, user, offered), expected);
  }
});

test("a login that takes too long is ended", async () => {
  const timers: { ms: number; fire: () => void }[] = [];
  const clock: Clock = {
    now: () => 0,
    monotonic: () => 0,
    after: (ms, then) => {
      timers.push({ ms, fire: then });
      return { refresh: () => {}, [Symbol.dispose]: () => {} };
    },
  };
  const [clientConn, serverConn] = packetPipe();
  void serveConn(serverConn, { users: {}, clock });
  clientConn.attach({ packet: () => {}, closed: () => {} });
  assert.equal(timers[0]?.ms, demoGraceMs);
  timers[0]?.fire();
  await settled();
  assert.equal(clientConn.close?.kind, "disconnected");
});

for (const [command, stdout, status] of [
  ["echo hi", "hi\n", 0],
  ["exit 3", "", 3],
  ["exit", "", 0],
  ["whoami", "alice\n", 0],
  ["echo one; echo 'two  three' \"$USER-$NOPE\"; exit 4; echo no", "one\ntwo  three -\n", 4],
  ["zeros 5", "\0\0\0\0\0", 0],
  ["", "", 0],
] as const) {
  test(`exec ${JSON.stringify(command)}`, async () => {
    const ran = await exec(command);
    assert.deepEqual([ran.stdout, ran.stderr, ran.exit], [stdout, "", status]);
  });
}

test("what is not known is said on stderr, with status 127", async () => {
  const ran = await exec("rm -rf /");
  assert.deepEqual([ran.stdout, ran.stderr, ran.exit], ["", "rm: not found; try help\n", 127]);
});

test("stderr is apart from stdout", async () => {
  const ran = await exec("echo out; echo err >&2");
  assert.deepEqual([ran.stdout, ran.stderr], ["out\n", "err\n"]);
});

test("cat copies 5 MB, and count counts them", async () => {
  const input = Buffer.alloc(5_000_000, "x");
  const copied = await exec("cat", input);
  assert.equal(copied.stdout.length, input.length);
  assert.equal(copied.exit, 0);
  assert.equal((await exec("count", input)).stdout, "5000000\n");
});

test("a command that reads nothing ends though its input does not", async () => {
  const ran = await session(await demo());
  ran.channel.write("never read");
  await ran.channel.request("exec", encodeExecRequest("echo done"));
  assert.equal((await ran.done).stdout, "done\n");
});

test("the environment that was sent before is there, within limits", async () => {
  const ran = await session(await demo());
  const { channel } = ran;
  assert.equal(await channel.request("env", encodeEnvRequest({ name: "LANG", value: bytes("C") })), true);
  assert.equal(await channel.request("env", encodeEnvRequest({ name: "A=B", value: bytes("C") })), false);
  assert.equal(
    await channel.request("env", encodeEnvRequest({ name: "BIG", value: new Uint8Array(5000) })),
    false,
  );
  await channel.request("exec", encodeExecRequest("env; echo $LANG ${LANG}D"));
  assert.equal((await ran.done).stdout, "LANG=C\nC CD\n");
});

test("sftp, and whatever else nobody knows, is refused", async () => {
  const ran = await session(await demo());
  const { channel } = ran;
  assert.equal(await channel.request("subsystem", encodeSubsystemRequest("sftp")), false);
  assert.equal(await channel.request("x11-req"), false);
  assert.equal(
    await channel.request(
      "window-change",
      encodeWindowChange({ columns: 1, rows: 1, widthPixels: 0, heightPixels: 0 }),
    ),
    false,
  );
  assert.equal(await channel.request("exec", encodeExecRequest("echo fine")), true);
  assert.equal(await channel.request("shell"), false, "one program is enough");
  await ran.done;
  assert.match(ran.stderr, /no sftp/);
});

test("other channels and global requests are refused", async () => {
  const mux = await demo();
  const outcome = await mux.open("direct-tcpip");
  assert(!outcome.opened && outcome.reason === 3);
  assert.equal((await mux.request("tcpip-forward")).success, false);
});

test("a signal ends a command: INT with status 130, TERM as a signal", async () => {
  for (const command of ["sleep 1000", "cat", "zeros 1000000000000"]) {
    for (const [signal, exit] of [
      ["INT", 130],
      ["TERM", "TERM"],
    ] as const) {
      const ran = await session(await demo());
      await ran.channel.request("exec", encodeExecRequest(command));
      assert.equal(await ran.channel.request("signal", encodeSignalRequest("USR1")), false);
      ran.channel.notify("signal", encodeSignalRequest(signal));
      assert.equal((await ran.done).exit, exit, command);
    }
  }
});

test("a shell without terminal runs the lines it is sent, without prompt or echo", async () => {
  const ran = await session(await demo());
  await ran.channel.request("shell");
  ran.channel.end("echo one\ncat\nthis is input\nand this");
  await ran.done;
  assert.equal(ran.stdout, "one\nthis is input\nand this");
  assert.equal(ran.exit, 0);
});

test("a terminal echoes, prompts, edits and ends lines in CR LF", async () => {
  const ran = await terminal();
  assert.equal(ran.stdout, "hello\r\ndemo$ ");
  ran.channel.write("echxx\u007f\u007fo  a\u001b[Ab\r");
  await shows(ran, "ab\r\ndemo$ ");
  assert.equal(ran.stdout, "hello\r\ndemo$ echxx\b \b\b \bo  ab\r\nab\r\ndemo$ ");
  ran.channel.write("exit 9\r");
  assert.equal((await ran.done).exit, 9);
});

test("Ctrl-C gives up the line, or the command that runs; Ctrl-D ends input, then the shell", async () => {
  const ran = await terminal();
  ran.channel.write("junk\u0003");
  await shows(ran, "junk^C\r\ndemo$ ");
  ran.channel.write("sleep 1000\r");
  await shows(ran, "sleep 1000\r\n");
  ran.channel.write("\u0003");
  await shows(ran, "^C\r\ndemo$ ");
  ran.channel.write("cat\r");
  ran.channel.write("line\r");
  await shows(ran, "line\r\nline\r\n");
  ran.channel.write("\u0004");
  await shows(ran, "line\r\ndemo$ ");
  ran.channel.write("no\u0004such\r");
  await shows(ran, "not found; try help\r\ndemo$ ");
  ran.channel.write("\u0004");
  await ran.done;
  assert(ran.stdout.endsWith("logout\r\n"));
  assert.equal(ran.exit, 127, "of the last command");
});

test("the size of the window, and its change", async () => {
  const ran = await terminal();
  ran.channel.write("size\r");
  await shows(ran, "80 24\r\ndemo$ ");
  ran.channel.notify(
    "window-change",
    encodeWindowChange({ columns: 132, rows: 50, widthPixels: 0, heightPixels: 0 }),
  );
  ran.channel.write("size\r");
  await shows(ran, "132 50\r\ndemo$ ");
  ran.channel.destroy();
});

test("without ECHO in the terminal's modes nothing is echoed", async () => {
  const ran = await terminal(new Map([[53, 0]]));
  ran.channel.write("echo hi\r");
  await shows(ran, "demo$ hi\r\ndemo$ ");
  ran.channel.destroy();
});

test("a client that is gone ends what runs for it", async () => {
  const mux = await demo();
  const ran = await session(mux);
  await ran.channel.request("exec", encodeExecRequest("sleep 1000"));
  mux.disconnect();
  await ran.done;
  assert.equal(ran.exit, undefined);
});

test("typing more than the shell takes does not grow memory: reading stops", async () => {
  const ran = await terminal();
  ran.channel.write("sleep 1000\r");
  await shows(ran, "sleep 1000\r\n");
  const line = "x".repeat(500);
  let wrote = 0;
  while (!ran.channel.writableNeedDrain && wrote < 100_000) {
    ran.channel.write(`${line}\r`);
    wrote++;
    if (wrote % 100 === 0) await settled();
  }
  assert(wrote < 10_000, `${wrote} lines were taken`);
  ran.channel.destroy();
});

test("over TCP: the demo upstream listens on a free port, serves, and closes all when disposed", async () => {
  const hostKey = generatePrivateKey("ssh-ed25519");
  const listen = { host: "127.0.0.1", port: 0 };
  await using upstream = await startDemoUpstream({ listen, hostKey, users: { alice: "secret" } });
  assert(upstream.port > 0);
  const link = new Link(connect(upstream.port, "127.0.0.1"), {
    role: "client",
    version: "SSH-2.0-Test",
    algorithms: defaultAlgorithms,
    extensions: new Map(),
    random: systemRandom,
    clock: systemClock,
    handshakeMs: 10_000,
    checkHostKey: (_algorithm, blob) => assert.deepEqual(Buffer.from(blob), Buffer.from(hostKey.blob)),
  });
  await link.established;
  assert(await logIn(link, "alice", "secret"));
  const mux = new ConnectionMux(link);
  const ran = await session(mux);
  await ran.channel.request("exec", encodeExecRequest("cat; exit 5"));
  ran.channel.end("over the wire");
  await ran.done;
  assert.deepEqual([ran.stdout, ran.exit], ["over the wire", 5]);
  await upstream[Symbol.asyncDispose]();
  const close = await mux.ended;
  assert.equal(close.kind, "disconnected");
  assert.equal(close.description, "The demo upstream stops.");
  assert.equal(upstream.connections, 0);
});

test("a port that is taken rejects", async () => {
  const hostKey = generatePrivateKey("ssh-ed25519");
  await using first = await startDemoUpstream({ listen: { host: "127.0.0.1", port: 0 }, hostKey, users: {} });
  await assert.rejects(
    startDemoUpstream({ listen: { host: "127.0.0.1", port: first.port }, hostKey, users: {} }),
    {
      code: "EADDRINUSE",
    },
  );
});

/** Whatever a stranger sends: a clean end with the right reason, a log line that says who is to blame, and no effect on others. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { randomBytes } from "node:crypto";
import { connect, type Socket } from "node:net";
import { run, type Child } from "#test/support/child";
import { spawnSsh } from "#test/support/ssh";
import { debianPython, missing } from "#test/support/strangers";
import { within } from "#test/support/waiting";
import { startWorld, type World } from "#test/support/world";

const skip = missing("ssh", "sshd");
const pythonSkip = skip || missing("paramiko");
const mebibyte = 2 ** 20;
let world: World;
let neighbour: Child;
let memoryBefore = 0;
let lines = 0;

before(async () => {
  if (skip !== false) return;
  world = await startWorld({
    config: {
      limits: {
        handshakeSeconds: 3,
        startups: { start: 1000, full: 1000 },
        maxStartupsPerSource: 1000,
        maxChannels: 100,
      },
    },
  });
  neighbour = spawnSsh(world.gateway.target(world.user.name, world.identity.path), ["cat"], {
    stdin: "open",
  });
  await talk();
  memoryBefore = await world.gateway.rssBytes();
});
after(async () => {
  await neighbour?.[Symbol.asyncDispose]();
  await world?.[Symbol.asyncDispose]();
});

async function talk(): Promise<void> {
  lines += 1;
  const line = `line ${lines}\n`;
  neighbour.stdin.write(line);
  await neighbour.waitFor("an echo", () => neighbour.stdout.includes(line));
}

/** Connects, lets `act` do what it will, and gives all that came until the gateway closed. */
async function stranger(act: (socket: Socket) => void): Promise<Buffer> {
  const socket = connect({ host: "127.0.0.1", port: world.gateway.port, allowHalfOpen: true });
  const chunks: Buffer[] = [];
  const closed = new Promise<void>((resolve) => {
    socket.on("data", (chunk: Buffer) => chunks.push(chunk));
    socket.once("end", resolve);
    // A reset is an end too, when the gateway closes while bytes are still coming.
    socket.once("error", () => resolve());
    socket.once("close", () => resolve());
  });
  socket.once("connect", () => act(socket));
  try {
    await within("the gateway to close", closed, 30_000);
  } finally {
    socket.destroy();
  }
  return Buffer.concat(chunks);
}

/** Codes of errors in the log since that line. */
function codesSince(count: number): string[] {
  const text = JSON.stringify(world.gateway.logs().slice(count));
  return [...new Set(text.match(/(?:PEER|MISMATCH|DENIED|UPSTREAM|OPERATOR|BUG)_[A-Z_0-9]+/g) ?? [])];
}

/** The log after an attack: the expected blame, no fault of our own, and a neighbour that did not notice. */
async function judged(count: number, code: RegExp): Promise<void> {
  await world.gateway.waitForLog(
    String(code),
    (line) => {
      const at = world.gateway.logs().indexOf(line);
      return at >= count && code.test(JSON.stringify(line));
    },
    10_000,
  );
  const codes = codesSince(count);
  assert.deepEqual(
    codes.filter((each) => each.startsWith("BUG_")),
    [],
  );
  await talk();
}

/** A first packet in the clear: length, padding length, payload, padding to a block of 8 (RFC 4253, section 6). */
function packet(payload: Uint8Array, length?: number): Buffer {
  const padding = 16 - ((payload.length + 5) % 8);
  const head = Buffer.alloc(5);
  head.writeUInt32BE(length ?? payload.length + 1 + padding);
  head[4] = padding;
  return Buffer.concat([head, payload, Buffer.alloc(padding)]);
}

const version = "SSH-2.0-stranger\r\n";
const disconnect = 1;

const clear: readonly (readonly [title: string, act: (socket: Socket) => void, code: RegExp])[] = [
  [
    "a request of HTTP",
    (socket) => socket.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n".repeat(400)),
    /PEER_(NOT_SSH|VERSION)/,
  ],
  ["100 kB of random bytes", (socket) => socket.write(randomBytes(100_000)), /PEER_(NOT_SSH|VERSION)/],
  [
    "a version line of 10 MB",
    (socket) => socket.write(`SSH-2.0-${"x".repeat(10_000_000)}`),
    /PEER_VERSION_LINE_TOO_LONG/,
  ],
  ["protocol version 1", (socket) => socket.write("SSH-1.5-old\r\n"), /MISMATCH_VERSION/],
  ["a TLS greeting", (socket) => socket.write(Buffer.from("16030100c8010000c40303", "hex")), /PEER_/],
  ["nothing at all", () => undefined, /PEER_HANDSHAKE_TIMEOUT/],
  ["a version line that drips", drip, /PEER_HANDSHAKE_TIMEOUT/],
  ["a version line and nothing more", (socket) => socket.write(version), /PEER_HANDSHAKE_TIMEOUT/],
  [
    "a packet of 4 GiB",
    (socket) => socket.write(Buffer.concat([Buffer.from(version), packet(Buffer.alloc(40), 0xffffffff)])),
    /PEER_/,
  ],
  [
    "a packet of 0 bytes",
    (socket) => socket.write(Buffer.concat([Buffer.from(version), packet(Buffer.alloc(40), 0)])),
    /PEER_/,
  ],
  [
    "a packet longer than it may be",
    (socket) => socket.write(Buffer.concat([Buffer.from(version), packet(Buffer.alloc(40), 1_000_000)])),
    /PEER_/,
  ],
  [
    "random bytes after the version line",
    (socket) => socket.write(Buffer.concat([Buffer.from(version), randomBytes(100_000)])),
    /PEER_/,
  ],
  [
    "a login before any key exchange",
    (socket) =>
      socket.write(Buffer.concat([Buffer.from(version), packet(Buffer.from([50, ...Buffer.alloc(22)]))])),
    /PEER_UNEXPECTED_MESSAGE/,
  ],
  [
    "a channel before any key exchange",
    (socket) =>
      socket.write(Buffer.concat([Buffer.from(version), packet(Buffer.from([90, ...Buffer.alloc(22)]))])),
    /PEER_UNEXPECTED_MESSAGE/,
  ],
  [
    "an offer cut short",
    (socket) =>
      socket.write(Buffer.concat([Buffer.from(version), packet(Buffer.from([20, ...Buffer.alloc(22)]))])),
    /PEER_/,
  ],
  [
    "an offer of unknown algorithms",
    (socket) => socket.write(Buffer.concat([Buffer.from(version), packet(strangeOffer())])),
    /MISMATCH_ALGORITHM/,
  ],
  [
    "half an offer, then its end",
    (socket) => socket.end(Buffer.concat([Buffer.from(version), packet(strangeOffer()).subarray(0, 50)])),
    /PEER_/,
  ],
];

function drip(socket: Socket): void {
  let rest = "SSH-2.0-a_stranger_with_all_the_time_in_the_world";
  const timer = setInterval(() => {
    socket.write(rest.slice(0, 1));
    rest = rest.slice(1);
  }, 200);
  socket.once("close", () => clearInterval(timer));
  socket.once("error", () => clearInterval(timer));
}

/** KEXINIT (RFC 4253, section 7.1) with names that nobody has. */
function strangeOffer(): Buffer {
  const list = Buffer.from("\0\0\0\x07strange", "latin1");
  const lists = Array.from({ length: 10 }, () => list);
  return Buffer.concat([Buffer.from([20]), Buffer.alloc(16), ...lists, Buffer.alloc(5)]);
}

for (const [title, act, code] of clear) {
  test(`before keys: ${title}`, { skip }, async () => {
    const count = world.gateway.logs().length;
    const answer = (await stranger(act)).toString("latin1");
    assert.match(answer, /^SSH-2\.0-[^\r\n]+\r\n/);
    await judged(count, code);
  });
}

test("before keys: what is no SSH gets DISCONNECT with its reason, not silence", { skip }, async () => {
  const answer = await stranger((socket) => socket.write("SSH-1.5-old\r\n"));
  const after = answer.subarray(answer.indexOf("\n") + 1);
  // Our own offer may come first; the last packet is the one that counts.
  const packets: Buffer[] = [];
  for (let at = 0; at + 5 <= after.length; at += 4 + after.readUInt32BE(at))
    packets.push(after.subarray(at + 5));
  const last = packets.at(-1);
  assert.equal(last?.[0], disconnect);
  assert.equal(last?.readUInt32BE(1), 8, "PROTOCOL_VERSION_NOT_SUPPORTED (RFC 4253, section 11.1)");
});

interface Fate {
  readonly answers: readonly number[];
  readonly opened: number;
  readonly disconnect: readonly [reason: number, text: string] | null;
  readonly ended: boolean;
}

async function hostile(mode: string, count = 1): Promise<Fate> {
  const script = new URL("../support/python/hostile.py", import.meta.url).pathname;
  const { host, port, user } = world.gateway.target(world.user.name);
  const args = ["-W", "ignore", script, host, String(port), user, world.identity.path, mode, String(count)];
  const { code, stdout, stderr } = await run(debianPython, args, { deadlineMs: 90_000 });
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout.toString()) as Fate;
}

const PROTOCOL_ERROR = 2;
const MAC_ERROR = 5;
const SERVICE_NOT_AVAILABLE = 7;

const keyed: readonly (readonly [mode: string, code: RegExp, reasons: readonly number[]])[] = [
  ["random-after-kex", /PEER_/, [PROTOCOL_ERROR, MAC_ERROR]],
  ["oversize-after-kex", /PEER_/, [PROTOCOL_ERROR, MAC_ERROR]],
  ["bad-mac", /PEER_MAC_INVALID/, [MAC_ERROR]],
  ["truncated-packet", /PEER_|disconnected|ended/, []],
  ["channel-before-login", /PEER_UNEXPECTED_MESSAGE/, [PROTOCOL_ERROR]],
  ["request-before-service", /PEER_UNEXPECTED_MESSAGE/, [PROTOCOL_ERROR]],
  ["unknown-service", /PEER_/, [SERVICE_NOT_AVAILABLE]],
  ["newkeys-alone", /PEER_UNEXPECTED_MESSAGE/, [PROTOCOL_ERROR]],
  ["kex-reply-alone", /PEER_UNEXPECTED_MESSAGE/, [PROTOCOL_ERROR]],
  ["unknown-numbers", /PEER_UNEXPECTED_MESSAGE/, [PROTOCOL_ERROR]],
  ["login-success-to-server", /PEER_UNEXPECTED_MESSAGE/, [PROTOCOL_ERROR]],
  ["answer-unasked", /PEER_UNASKED_ANSWER/, [PROTOCOL_ERROR]],
];

for (const [mode, code, reasons] of keyed) {
  test(`after keys: ${mode}`, { skip: pythonSkip }, async () => {
    const count = world.gateway.logs().length;
    const fate = await hostile(mode);
    assert.ok(fate.ended, JSON.stringify(fate));
    if (reasons.length > 0) assert.ok(reasons.includes(fate.disconnect?.[0] ?? -1), JSON.stringify(fate));
    await judged(count, code);
  });
}

test("after keys: an unknown login method is one failure, not the end", { skip: pythonSkip }, async () => {
  const fate = await hostile("unknown-method");
  assert.ok(fate.answers.includes(51), JSON.stringify(fate));
  assert.equal(fate.disconnect, null);
  await talk();
});

test("logged in: messages that make no sense end this session alone", { skip: pythonSkip }, async () => {
  for (const mode of ["short-open", "data-for-no-channel"]) {
    const fate = await hostile(mode);
    assert.ok(fate.ended, mode);
    await talk();
  }
});

test("logged in: 100,000 channels opened: stopped at the limit, not by the upstream's memory", {
  skip: pythonSkip,
}, async () => {
  const count = world.gateway.logs().length;
  const fate = await hostile("open-many", 100_000);
  assert.ok(fate.ended || fate.opened <= 100, JSON.stringify({ ...fate, answers: [] }));
  assert.ok(fate.opened <= 100, `${fate.opened} channels`);
  assert.deepEqual(
    codesSince(count).filter((each) => each.startsWith("BUG_")),
    [],
  );
  await talk();
});

test("guessing without end is cut off", { skip: pythonSkip }, async () => {
  const fate = await hostile("many-none", 1000);
  assert.ok(fate.ended);
  assert.ok(fate.answers.filter((number) => number === 51).length < 100, JSON.stringify(fate));
  await talk();
});

test("200 strangers at once who never speak hold little, and are let go", { skip }, async () => {
  await Promise.all(Array.from({ length: 200 }, () => stranger((socket) => socket.write("SSH-2.0-"))));
  await talk();
});

test("all that left no memory behind, and the first session lives", { skip }, async () => {
  const grown = (await world.gateway.rssBytes()) - memoryBefore;
  assert.ok(grown < 150 * mebibyte, `${grown} bytes`);
  await talk();
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLog } from "#base";
import type { Menu, MenuStep, Principal, Route } from "#contract";
import {
  type Channel,
  type ChannelOffer,
  type ConnectionLimits,
  ConnectionMux,
  type IncomingRequest,
} from "#ssh/connection";
import {
  decodeExitStatus,
  encodeEnvRequest,
  encodeExecRequest,
  encodePtyRequest,
  encodeTcpipChannel,
  encodeWindowChange,
  OPEN_FAILURE,
} from "#ssh/messages";
import { FakeClock } from "#test/support/fake-clock";
import { packetPipe } from "#test/support/packet-pipe";
import { settled } from "#test/support/raw-peer";
import { gatewayErrors } from "./errors.ts";
import { maxMenuIdleMs, MenuEntry, type MenuEnd, type MenuEntryOptions } from "./menu-entry.ts";
import type { UpstreamLogin } from "./upstream-login.ts";

/** Shows what it does in words: `x` leaves, a capital letter chooses the target of that name, ESC waits. */
class WordMenu implements Menu {
  pending = false;
  readonly #columns: number;

  constructor(columns: number) {
    this.#columns = columns;
  }

  open(): string {
    return `[open ${this.#columns}]`;
  }

  close(): string {
    return "[close]";
  }

  resize({ columns }: { columns: number }): string {
    return `[resize ${columns}]`;
  }

  feed(bytes: Uint8Array): MenuStep {
    const text = Buffer.from(bytes).toString();
    const at = text.search(/[A-Zx]/);
    this.pending = text.endsWith("\u001b");
    if (at < 0) return { output: `[${text}]`, taken: bytes.length };
    const key = text[at] ?? "";
    const outcome = key === "x" ? ({ kind: "left" } as const) : ({ kind: "chosen", name: key } as const);
    return { output: "", outcome, taken: at + 1 };
  }

  notice(text: string): string {
    return `[notice ${text}]`;
  }

  idle(): MenuStep {
    this.pending = false;
    return { output: "", taken: 0, outcome: { kind: "left" } };
  }
}

interface Shown {
  readonly client: ConnectionMux;
  readonly clock: FakeClock;
  readonly over: AbortController;
  readonly chosen: string[];
  readonly entry: MenuEntry;
  readonly end: Promise<MenuEnd>;
}

function show(more: Partial<MenuEntryOptions> = {}, limits: Partial<ConnectionLimits> = {}): Shown {
  const [near, far] = packetPipe();
  const clock = new FakeClock();
  const over = new AbortController();
  const chosen: string[] = [];
  const entry = new MenuEntry({
    conn: far,
    principal: { by: "" } as Principal,
    server: { menu: (_targets, { columns }) => new WordMenu(columns) },
    targets: [],
    refuseTerminal: () => undefined,
    choose: (name) => {
      chosen.push(name);
      if (name === "D") throw new gatewayErrors.DENIED_TARGET();
      return { rule: name, plan: { credentials: [] } } as unknown as Route;
    },
    enter: async () =>
      ({ banners: ["Welcome\n"], [Symbol.asyncDispose]: async () => {} }) as unknown as UpstreamLogin,
    clock,
    log: silentLog,
    signal: over.signal,
    closed: () => over.abort(new Error("the client left")),
    ...more,
  });
  const end = entry.run();
  end.catch(() => {});
  return { client: new ConnectionMux(near, { limits }), clock, over, chosen, entry, end };
}

interface Terminal {
  readonly channel: Channel;
  text: string;
  status: number | undefined;
}

const size = { columns: 80, rows: 24, widthPixels: 0, heightPixels: 0 };
const pty = encodePtyRequest({ term: "xterm", ...size, modes: new Uint8Array() });

async function terminal(client: ConnectionMux, shell = true): Promise<Terminal> {
  const made: { text: string; status: number | undefined } = { text: "", status: undefined };
  const outcome = await client.open("session", {
    request: ({ type, data }) => {
      if (type === "exit-status") made.status = decodeExitStatus(data);
      return false;
    },
  });
  assert(outcome.opened);
  const { channel } = outcome;
  channel.on("data", (chunk: Buffer) => (made.text += chunk.toString()));
  channel.stderr.on("data", (chunk: Buffer) => (made.text += `{${chunk.toString()}}`));
  assert.equal(await channel.request("pty-req", pty), true);
  if (shell) assert.equal(await channel.request("shell"), true);
  await settled();
  return Object.assign(made, { channel });
}

/** All that it has shown, afresh. */
function shownOn({ text }: Terminal): string {
  return text;
}

async function type(to: Terminal, text: string): Promise<void> {
  to.channel.write(text);
  await settled();
}

test("what is told is shown on the menu, when it failed, and again on the next menu", async () => {
  const { client, entry } = show();
  entry.notify("early");
  const at = await terminal(client);
  assert.match(shownOn(at), /\[open 80\]\[notice early\]$/);
  entry.notify("it stops");
  await settled();
  assert.match(shownOn(at), /\[notice it stops\]$/);
  await type(at, "D");
  entry.notify("really");
  await settled();
  assert.match(shownOn(at), /really\r\n$/);
  await type(at, " ");
  assert.match(shownOn(at), /\[open 80\]\[notice really\]$/);
});

test("who chooses goes on in the same session, with what the terminal was asked for, and what was typed ahead", async () => {
  const { client, end, chosen } = show();
  const at = await terminal(client);
  at.channel.notify("env", encodeEnvRequest({ name: "LANG", value: Buffer.from("C") }));
  assert.equal(at.text, "[open 80]");
  at.channel.notify("window-change", encodeWindowChange({ ...size, columns: 100 }));
  await type(at, "ab");
  await type(at, "cWls\n");
  assert.equal(at.text, "[open 80][resize 100][ab][close]Connecting to W …\r\nWelcome\r\n");
  const entered = await end;
  assert(entered.kind === "entered");
  assert.deepEqual([chosen, entered.route.rule], [["W"], "W"]);

  const requests: string[] = [];
  const request = ({ type: name }: IncomingRequest): boolean => requests.push(name) > 0;
  let typed = "";
  const upstream = new ConnectionMux(entered.downstream, {
    channels: new Map([
      [
        "session",
        (offer) => {
          const channel = offer.accept({ request });
          channel.on("data", (chunk: Buffer) => (typed += chunk.toString()));
          channel.write("$ ");
        },
      ],
    ]),
  });
  await settled();
  await type(at, "more");
  assert.match(shownOn(at), /\$ $/);
  assert.deepEqual(requests, ["pty-req", "shell", "env", "window-change"]);
  assert.equal(typed, "ls\nmore");
  assert.equal(upstream.channelCount, 1);
});

const others: readonly [string, (client: ConnectionMux) => Promise<unknown>][] = [
  [
    "a command",
    async (client) => {
      const at = await terminal(client, false);
      at.channel.notify("exec", encodeExecRequest("ls"));
    },
  ],
  [
    "a channel of another kind",
    async (client) => {
      const data = encodeTcpipChannel({ host: "web1", port: 22, originAddress: "", originPort: 0 });
      void client.open("direct-tcpip", { data });
    },
  ],
  [
    "a shell without a terminal",
    async (client) => {
      const outcome = await client.open("session");
      assert(outcome.opened);
      outcome.channel.notify("shell");
    },
  ],
];
for (const [what, say] of others)
  test(`${what} is no wish for a menu: it is served, and nothing is lost`, async () => {
    const { client, end } = show();
    await say(client);
    await settled();
    const served = await end;
    assert(served.kind === "served");
    const seen: string[] = [];
    const offered = (name: string) => (): void => void seen.push(name);
    const server = new ConnectionMux(served.downstream, {
      channels: new Map<string, (offer: ChannelOffer) => void>([
        ["direct-tcpip", offered("direct-tcpip")],
        [
          "session",
          (offer) => {
            offer.accept({ request: ({ type: name }) => seen.push(name) > 0 });
          },
        ],
      ]),
    });
    // As a link does for who attaches to it.
    served.downstream.resume();
    await settled();
    assert.equal(server.channelCount, 1);
    const expected = {
      "a command": ["pty-req", "exec"],
      "a channel of another kind": ["direct-tcpip"],
      "a shell without a terminal": ["shell"],
    }[what];
    assert.deepEqual(seen, expected);
  });

test("who says nothing for a while is served without a menu", async () => {
  const { clock, end } = show();
  clock.advance(3_000);
  assert.equal((await end).kind, "served");
});

test("who may have no terminal gets no menu", async () => {
  const { client, end } = show({ refuseTerminal: () => "no" });
  const outcome = await client.open("session");
  assert(outcome.opened);
  assert.equal(await outcome.channel.request("pty-req", pty), false);
  outcome.channel.notify("shell");
  await settled();
  assert.equal((await end).kind, "served");
});

test("requests that nobody answers before the shell are refused, so that answers keep their order", async () => {
  const { client } = show();
  const outcome = await client.open("session");
  assert(outcome.opened);
  const { channel } = outcome;
  const answers = await Promise.all([
    channel.request("pty-req", pty),
    channel.request("x11-req"),
    channel.request("auth-agent-req@openssh.com"),
    channel.request("shell"),
    channel.request("something"),
  ]);
  assert.deepEqual(answers, [true, false, true, true, false]);
});

test("while the menu is shown, nothing else is opened", async () => {
  const { client } = show();
  await terminal(client);
  const outcome = await client.open("session");
  assert(!outcome.opened);
  assert.equal(outcome.reason, OPEN_FAILURE.ADMINISTRATIVELY_PROHIBITED);
  assert.match(outcome.description, /choose a target/);
});

test("who leaves is let go with a status", async () => {
  const { client, clock, end } = show();
  const at = await terminal(client);
  await type(at, "x");
  assert.deepEqual([at.text, at.status], ["[open 80][close]", 130]);
  clock.advance(2_000);
  assert.deepEqual(await end, { kind: "left" });
});

test("ESC leaves once nothing has followed it", async () => {
  const { client, clock } = show();
  const at = await terminal(client);
  await type(at, "\u001b");
  assert.equal(at.status, undefined);
  await type(at, "a");
  clock.advance(100);
  await settled();
  assert.equal(at.status, undefined);
  await type(at, "\u001b");
  clock.advance(100);
  await settled();
  assert.equal(at.status, 130);
});

test("what is wrong with a target is told, and the list comes again", async () => {
  let tries = 0;
  const { client, end, chosen } = show({
    enter: async () => {
      if (++tries === 1) throw new gatewayErrors.UPSTREAM_LOST();
      return { banners: [], [Symbol.asyncDispose]: async () => {} } as unknown as UpstreamLogin;
    },
  });
  const at = await terminal(client);
  await type(at, "D");
  assert.match(at.text, /no such target.*\r\nPress a key/);
  await type(at, "\r");
  assert.match(at.text, /\[open 80\]$/);
  await type(at, "U");
  assert.match(at.text, /was lost/);
  await type(at, "\r");
  await type(at, "W");
  assert.equal((await end).kind, "entered");
  assert.deepEqual(chosen, ["D", "U", "W"]);
});

test("an error of our own ends it", async () => {
  const { client, end } = show({ enter: () => Promise.reject(new Error("secret detail")) });
  const at = await terminal(client);
  await type(at, "W");
  await assert.rejects(end, /secret detail/);
  assert.doesNotMatch(at.text, /secret/);
});

test("a menu that nobody touches ends, and says so", async () => {
  const { client, clock, entry, end } = show();
  const at = await terminal(client);
  clock.advance(maxMenuIdleMs - 1);
  await type(at, "a");
  clock.advance(maxMenuIdleMs - 1);
  await settled();
  clock.advance(1);
  const why = await end.then(
    () => undefined,
    (error: unknown) => error,
  );
  assert(why instanceof gatewayErrors.DENIED_MENU_IDLE);
  void entry.tell(why);
  await settled();
  assert.match(at.text, /\[close\].*Nothing was chosen/s);
  assert.equal(at.status, 255);
});

test("a client that is gone ends it", async () => {
  const { client, end } = show();
  await terminal(client);
  client.disconnect();
  await assert.rejects(end, /the client left/);
});

test("a terminal that takes nothing is not written to without end, and not read", async () => {
  const { client } = show({}, { windowBytes: 10_000 });
  const outcome = await client.open("session");
  assert(outcome.opened);
  const { channel } = outcome;
  await channel.request("pty-req", pty);
  await channel.request("shell");
  // Nobody reads the channel: its window fills with what is drawn for each key.
  channel.write("a".repeat(40_000));
  for (let turn = 0; turn < 20; turn++) await settled();
  assert(channel.writableLength > 0, "what is typed waits");
  channel.resume();
  for (let turn = 0; turn < 1000 && channel.writableLength > 0; turn++) await settled();
  assert.equal(channel.writableLength, 0);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import type { AuditEvent, Policy } from "#contract";
import {
  decodeChannelData,
  decodeChannelOpenFailure,
  decodeChannelRequest,
  decodeEnvRequest,
  decodeExecRequest,
  decodeSubsystemRequest,
  encodeAddressAndPort,
  encodeChannelOpen,
  encodeChannelOpenConfirmation,
  encodeChannelRequest,
  encodeChannelSignal,
  encodeEnvRequest,
  encodeExecRequest,
  encodeGlobalRequest,
  encodeRequestSuccess,
  encodeSubsystemRequest,
  encodeTcpipChannel,
  encodeWindowAdjust,
  messageName,
  MSG,
} from "#ssh/messages";
import { Collector } from "#test/support/links";
import { packetPipe, type PipeEnd } from "#test/support/packet-pipe";
import { nothingAllowed } from "#test/support/policies";
import { tappedPipe } from "#test/support/tapped-pipe";
import { Permissions } from "./permissions.ts";
import { SessionTaps } from "./session-taps.ts";

const none = new Uint8Array(0);
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

interface Ends {
  readonly client: PipeEnd;
  readonly server: PipeEnd;
  readonly atClient: Collector;
  readonly atServer: Collector;
  readonly events: AuditEvent[];
  readonly channels: { readonly open: number };
  /** The client has read all until now. */
  readonly read: () => void;
}

function joined(policy: Partial<Policy> | undefined): Ends {
  const events: AuditEvent[] = [];
  const someone = {
    session: "s",
    user: "ada",
    from: "::1",
    rule: "r",
    method: "password",
    by: "x",
    captures: {},
  };
  const permissions = Permissions.of(
    policy === undefined ? undefined : { ...nothingAllowed, ...policy },
    [],
    someone,
  );
  const [client, downstream] = packetPipe({ delivery: "sync" });
  const [server, upstream] = packetPipe({ delivery: "sync" });
  const reads: (() => void)[] = [];
  const audit = (event: AuditEvent): number => events.push(event);
  const pipe = tappedPipe({
    downstream,
    upstream,
    taps: (client_) => new SessionTaps({ permissions, audit, client: client_ }),
    whenRead: (then) => reads.push(then),
  });
  const atClient = new Collector();
  const atServer = new Collector();
  client.attach(atClient);
  server.attach(atServer);
  return {
    client,
    server,
    atClient,
    atServer,
    events,
    channels: pipe.channels,
    read: () => reads.splice(0).forEach((then) => then()),
  };
}

const open = (type: string, channel: number, data: Uint8Array = none): Uint8Array =>
  encodeChannelOpen({ type, channel, window: 1000, maxPacket: 100, data });
const confirm = (recipient: number, channel: number): Uint8Array =>
  encodeChannelOpenConfirmation({ recipient, channel, window: 1000, maxPacket: 100, data: none });
const request = (recipient: number, type: string, data: Uint8Array = none, wantReply = true): Uint8Array =>
  encodeChannelRequest({ recipient, type, wantReply, data });
const success = (recipient: number): Uint8Array => encodeChannelSignal(MSG.CHANNEL_SUCCESS, recipient);

/** A session channel, 3 at the client and 7 at the upstream, and what both have had so far taken away. */
async function session(policy: Partial<Policy> | undefined): Promise<Ends> {
  const ends = joined(policy);
  ends.client.send(open("session", 3));
  ends.server.send(confirm(3, 7));
  await settled();
  ends.atClient.payloads.length = 0;
  ends.atServer.payloads.length = 0;
  return ends;
}

const names = ({ payloads }: Collector): string[] =>
  payloads.map((payload) => messageName(payload[0] ?? 0).split(" ")[0] ?? "");

test("a refused request is answered in its turn, behind what the upstream still owes", async () => {
  const { client, server, atClient, atServer, read } = await session({ pty: true, exec: ["id"] });
  client.send(request(7, "pty-req", Buffer.concat([Buffer.alloc(4 + 16), Buffer.alloc(4)])));
  client.send(request(7, "x11-req"));
  client.send(request(7, "exec", encodeExecRequest("id")));
  client.send(request(7, "shell"));
  await settled();
  assert.deepEqual(names(atServer), ["CHANNEL_REQUEST", "CHANNEL_REQUEST"]);
  assert.deepEqual(names(atClient), ["CHANNEL_EXTENDED_DATA"], "the words come at once, the answers wait");
  atClient.payloads.length = 0;
  server.send(success(3));
  await settled();
  assert.deepEqual(names(atClient), ["CHANNEL_SUCCESS", "CHANNEL_FAILURE"]);
  server.send(success(3));
  await settled();
  assert.deepEqual(names(atClient), ["CHANNEL_SUCCESS", "CHANNEL_FAILURE", "CHANNEL_SUCCESS"]);
  client.send(request(7, "x11-req"));
  client.send(request(7, "pty-req", Buffer.alloc(4 + 16 + 4)));
  server.send(success(3));
  read();
  await settled();
  const later = ["CHANNEL_FAILURE", "CHANNEL_FAILURE", "CHANNEL_SUCCESS"];
  assert.deepEqual(
    names(atClient),
    ["CHANNEL_SUCCESS", "CHANNEL_FAILURE", "CHANNEL_SUCCESS", ...later],
    "what comes after the line waits for it to be read",
  );
});

test("with nothing owed the refusal comes at once; who wants no answer gets none", async () => {
  const { client, atClient, atServer, events, read } = await session({});
  client.send(request(7, "env", encodeEnvRequest({ name: "SECRET", value: Buffer.from("hunter2") }), false));
  client.send(request(7, "auth-agent-req@openssh.com"));
  client.send(request(7, "subsystem", encodeSubsystemRequest("sftp")));
  await settled();
  read();
  await settled();
  assert.equal(atServer.payloads.length, 0);
  assert.deepEqual(names(atClient), ["CHANNEL_FAILURE", "CHANNEL_EXTENDED_DATA", "CHANNEL_FAILURE"]);
  const { recipient, data } = decodeChannelData(atClient.payloads[1] ?? none);
  assert.equal(recipient, 3);
  assert.equal(Buffer.from(data).toString(), "File transfer is not allowed here.\r\n");
  assert.ok(!JSON.stringify(events).includes("hunter2"));
  assert.deepEqual(
    events.map((event) => [event.event, "outcome" in event ? event.outcome : ""]),
    [
      ["channel", "opened"],
      ["request", "refused"],
      ["request", "refused"],
      ["request", "refused"],
    ],
  );
});

test("the window that the client gives back for our words stays here", async () => {
  const { client, atServer } = await session({});
  client.send(encodeWindowAdjust({ recipient: 7, bytes: 50 }));
  client.send(request(7, "shell"));
  const words = "A shell is not allowed here.\r\n".length;
  client.send(encodeWindowAdjust({ recipient: 7, bytes: words - 10 }));
  client.send(encodeWindowAdjust({ recipient: 7, bytes: 100 }));
  client.send(encodeWindowAdjust({ recipient: 7, bytes: 100 }));
  await settled();
  assert.deepEqual(
    atServer.payloads.map((payload) => Buffer.from(payload).toString("hex")),
    [50, 90, 100].map((bytes) => Buffer.from(encodeWindowAdjust({ recipient: 7, bytes })).toString("hex")),
  );
});

test("requests and openings of types that are not known pass by `other` alone", async () => {
  for (const other of [false, true]) {
    const { client, atClient, atServer, channels } = await session({ other });
    client.send(request(7, "strange@example.org"));
    client.send(open("strange@example.org", 4));
    client.send(encodeGlobalRequest({ type: "strange@example.org", wantReply: true, data: none }));
    client.send(request(7, "window-change", none, false));
    await settled();
    assert.equal(atServer.payloads.length, other ? 4 : 1);
    assert.deepEqual(
      names(atClient),
      other ? [] : ["CHANNEL_FAILURE", "CHANNEL_OPEN_FAILURE", "REQUEST_FAILURE"],
    );
    assert.equal(channels.open, other ? 2 : 1);
  }
});

test("a malformed request is refused, and nobody else sees it", async () => {
  const { client, atClient, atServer } = await session({ exec: true });
  client.send(request(7, "exec", Uint8Array.of(0, 0, 0, 9, 1)));
  await settled();
  assert.equal(atServer.payloads.length, 0);
  assert.deepEqual(names(atClient), ["CHANNEL_FAILURE"]);
});

test("a forced command runs in place of whatever is asked, after its environment", async () => {
  for (const [type, data, original] of [
    ["shell", none, undefined],
    ["exec", encodeExecRequest("rm -rf /"), "rm -rf /"],
    ["subsystem", encodeSubsystemRequest("sftp"), "sftp"],
  ] as const) {
    const { client, server, atClient, atServer, events } = await session({
      forcedCommand: "report",
      tellUpstream: true,
    });
    client.send(request(7, type, data));
    server.send(success(3));
    await settled();
    const seen = atServer.payloads.map((payload) => decodeChannelRequest(payload));
    const last = seen.pop();
    assert.equal(last?.type, "exec");
    assert.equal(last.wantReply, true);
    assert.equal(Buffer.from(decodeExecRequest(last.data)).toString(), "report");
    const env = Object.fromEntries(
      seen.map((each) => {
        assert.deepEqual([each.type, each.wantReply, each.recipient], ["env", false, 7]);
        const { name, value } = decodeEnvRequest(each.data);
        return [name, Buffer.from(value).toString()];
      }),
    );
    assert.equal(env["SSH_ORIGINAL_COMMAND"], original);
    assert.equal(env["POSTERN_USER"], "ada");
    assert.deepEqual(names(atClient), ["CHANNEL_SUCCESS"]);
    const event = events.at(-1);
    assert.ok(event?.event === "request");
    assert.deepEqual([event.outcome, event.forced], ["replaced", "report"]);
  }
});

test("a forced internal-sftp is the subsystem", async () => {
  const { client, atServer } = await session({ forcedCommand: "internal-sftp" });
  client.send(request(7, "shell"));
  await settled();
  const { type, data } = decodeChannelRequest(atServer.payloads[0] ?? none);
  assert.deepEqual([type, decodeSubsystemRequest(data)], ["subsystem", "sftp"]);
});

test("a refused destination is told with reason 1, in words, and does not count as a channel", async () => {
  const { client, atClient, atServer, channels } = joined({ forwardLocal: ["db:5432"] });
  const to = (host: string, port: number): Uint8Array =>
    encodeTcpipChannel({ host, port, originAddress: "127.0.0.1", originPort: 1 });
  client.send(open("direct-tcpip", 1, to("db", 5432)));
  client.send(open("direct-tcpip", 2, to("db", 22)));
  await settled();
  assert.equal(atServer.payloads.length, 1);
  assert.deepEqual(decodeChannelOpenFailure(atClient.payloads[0] ?? none), {
    recipient: 2,
    reason: 1,
    description: "Connections to db:22 are not allowed here.",
  });
  assert.equal(channels.open, 1);
});

test("listening: refused in the order of answers; its data comes only where it was asked for", async () => {
  const { client, server, atClient, atServer } = joined({ forwardRemote: ["localhost:8000-8099", "*:0"] });
  const bind = (port: number, type = "tcpip-forward"): Uint8Array =>
    encodeGlobalRequest({
      type,
      wantReply: true,
      data: encodeAddressAndPort({ address: "localhost", port }),
    });
  const data = (channel: number, port: number): Uint8Array =>
    open(
      "forwarded-tcpip",
      channel,
      encodeTcpipChannel({ host: "localhost", port, originAddress: "::1", originPort: 1 }),
    );
  client.send(bind(8000));
  client.send(bind(22));
  await settled();
  assert.equal(atServer.payloads.length, 1);
  assert.equal(atClient.payloads.length, 0);
  server.send(encodeRequestSuccess());
  server.send(data(1, 8000));
  server.send(data(2, 8001));
  await settled();
  assert.deepEqual(names(atClient), ["REQUEST_SUCCESS", "REQUEST_FAILURE", "CHANNEL_OPEN"]);
  assert.equal(decodeChannelOpenFailure(atServer.payloads[1] ?? none).recipient, 2);
  client.send(bind(8000, "cancel-tcpip-forward"));
  server.send(data(3, 8000));
  await settled();
  assert.equal(decodeChannelOpenFailure(atServer.payloads.at(-1) ?? none).recipient, 3);
});

test("what the upstream opens is checked as well", async () => {
  for (const [type, policy] of [
    ["x11", { x11: true }],
    ["auth-agent@openssh.com", { agent: true }],
    ["strange@example.org", { other: true }],
  ] as const) {
    for (const allowed of [false, true]) {
      const { server, atClient, atServer } = joined(allowed ? policy : {});
      server.send(open(type, 5));
      await settled();
      assert.equal(atClient.payloads.length, allowed ? 1 : 0, type);
      assert.equal(atServer.payloads.length, allowed ? 0 : 1, type);
    }
  }
});

test("channels are forgotten when both sides have closed; a number that comes again is a new channel", async () => {
  const { client, server, atClient, read } = await session({ exec: true });
  client.send(request(7, "exec", encodeExecRequest("id")));
  client.send(encodeChannelSignal(MSG.CHANNEL_CLOSE, 7));
  server.send(encodeChannelSignal(MSG.CHANNEL_CLOSE, 3));
  client.send(open("session", 3));
  server.send(confirm(3, 7));
  await settled();
  atClient.payloads.length = 0;
  client.send(request(7, "shell"));
  read();
  await settled();
  assert.deepEqual(
    names(atClient),
    ["CHANNEL_EXTENDED_DATA", "CHANNEL_FAILURE"],
    "the old channel's debts are gone",
  );
});

test("without permissions everything passes, and is told: also what cannot be read", async () => {
  const { client, server, atClient, atServer, events } = await session(undefined);
  const sent = [
    request(7, "exec", encodeExecRequest("id")),
    request(7, "exec", Uint8Array.of(1)),
    request(7, "strange", none),
    request(9, "shell"),
    open("direct-tcpip", 4, Uint8Array.of(1)),
    encodeGlobalRequest({ type: "tcpip-forward", wantReply: true, data: none }),
  ];
  for (const payload of sent) client.send(payload);
  server.send(success(3));
  server.send(open("forwarded-tcpip", 1, none));
  await settled();
  assert.deepEqual(
    atServer.payloads.map((payload) => Buffer.from(payload).toString("hex")),
    sent.map((payload) => Buffer.from(payload).toString("hex")),
  );
  assert.equal(atClient.payloads.length, 2);
  assert.equal(events.filter((event) => event.event === "request" && event.outcome === "allowed").length, 5);
});

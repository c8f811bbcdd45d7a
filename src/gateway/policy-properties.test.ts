/** Policies: whatever a client asks in whatever order, every request that wants an answer gets one, in its turn. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { PosternError } from "#base";
import type { Policy } from "#contract";
import {
  decodeChannelRequest,
  encodeChannelOpen,
  encodeChannelOpenConfirmation,
  encodeChannelRequest,
  encodeChannelSignal,
  encodeExecRequest,
  encodeSubsystemRequest,
  MSG,
} from "#ssh/messages";
import { Collector } from "#test/support/links";
import { packetPipe } from "#test/support/packet-pipe";
import { nothingAllowed } from "#test/support/policies";
import { tappedPipe } from "#test/support/tapped-pipe";
import { askedBy } from "./asked.ts";
import { fitsCommand, Permissions } from "./permissions.ts";
import { SessionTaps } from "./session-taps.ts";

const none = new Uint8Array(0);
const policy: Policy = { ...nothingAllowed, exec: ["yes *"], sftp: true, agent: true, tellUpstream: true };

const requests: readonly (readonly [string, Uint8Array, boolean])[] = [
  ["shell", none, false],
  ["exec", encodeExecRequest("yes please"), true],
  ["exec", encodeExecRequest("no"), false],
  ["subsystem", encodeSubsystemRequest("sftp"), true],
  ["subsystem", encodeSubsystemRequest("other"), false],
  ["auth-agent-req@openssh.com", none, true],
  ["x11-req", none, false],
  ["window-change", none, true],
  ["strange@example.org", none, false],
  ["exec", Uint8Array.of(0, 0, 0, 9), false],
];

type Step =
  | { readonly kind: "ask"; readonly which: number; readonly wantReply: boolean }
  | { readonly kind: "upstream-answers" | "client-reads" };
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("ask" as const),
      which: fc.nat({ max: requests.length - 1 }),
      wantReply: fc.boolean(),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constantFrom("upstream-answers" as const, "client-reads" as const) }),
  },
);

test("answers come in the order of the questions, each to its own", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const [client, downstream] = packetPipe({ delivery: "sync" });
      const [server, upstream] = packetPipe({ delivery: "sync" });
      const someone = { session: "s", user: "u", from: "::1", rule: "r", method: "m", by: "b", captures: {} };
      const reads: (() => void)[] = [];
      const permissions = Permissions.of(policy, [], someone);
      tappedPipe({
        downstream,
        upstream,
        taps: (client_) => new SessionTaps({ permissions, audit: undefined, client: client_ }),
        whenRead: (then) => reads.push(then),
      });
      const atClient = new Collector();
      const atServer = new Collector();
      client.attach(atClient);
      server.attach(atServer);
      client.send(encodeChannelOpen({ type: "session", channel: 3, window: 1, maxPacket: 1, data: none }));
      server.send(
        encodeChannelOpenConfirmation({ recipient: 3, channel: 7, window: 1, maxPacket: 1, data: none }),
      );
      let answered = 1;
      const answerAll = (most: number): void => {
        for (let given = 0; answered < atServer.payloads.length && given < most; answered++) {
          if (!decodeChannelRequest(atServer.payloads[answered] ?? none).wantReply) continue;
          server.send(encodeChannelSignal(MSG.CHANNEL_SUCCESS, 3));
          given++;
        }
      };
      const expected: number[] = [];
      for (const each of steps) {
        if (each.kind === "ask") {
          const [type, data, allowed] = requests[each.which] ?? ["", none, false];
          client.send(encodeChannelRequest({ recipient: 7, type, wantReply: each.wantReply, data }));
          if (each.wantReply) expected.push(allowed ? MSG.CHANNEL_SUCCESS : MSG.CHANNEL_FAILURE);
        } else if (each.kind === "upstream-answers") answerAll(1);
        else for (const then of reads.splice(0)) then();
      }
      answerAll(Infinity);
      for (const then of reads.splice(0)) then();
      const answers = atClient.payloads
        .map((payload) => payload[0] ?? 0)
        .filter((number) => number === MSG.CHANNEL_SUCCESS || number === MSG.CHANNEL_FAILURE);
      assert.deepEqual(answers, expected);
    }),
    { numRuns: 300 },
  );
});

test("what a client asks for is read, or malformed; nothing throws", () => {
  const tables = ["channelRequests", "globalRequests", "clientChannels", "upstreamChannels"] as const;
  const types = [
    "exec",
    "env",
    "pty-req",
    "subsystem",
    "x11-req",
    "tcpip-forward",
    "streamlocal-forward@openssh.com",
    "direct-tcpip",
    "direct-streamlocal@openssh.com",
    "forwarded-tcpip",
    "tun@openssh.com",
    "strange",
  ];
  fc.assert(
    fc.property(
      fc.constantFrom(...tables),
      fc.constantFrom(...types),
      fc.uint8Array({ maxLength: 80 }),
      (table, type, data) => {
        const asked = askedBy(table, type, data);
        const refusal = Permissions.of(policy, [], {
          session: "",
          user: "",
          from: "",
          rule: "",
          method: "",
          by: "",
          captures: {},
        })?.refusal(asked);
        if (asked.kind === "malformed") assert.ok(refusal);
      },
    ),
  );
});

test("messages of any bytes end in an error of the peer's, or in nothing", () => {
  const number = fc.constantFrom(MSG.GLOBAL_REQUEST, MSG.CHANNEL_OPEN, 91, 92, 93, 97, 98, 99, 100);
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.boolean(), number, fc.uint8Array({ maxLength: 40 })), { maxLength: 20 }),
      (messages) => {
        const someone = { session: "", user: "", from: "", rule: "", method: "", by: "", captures: {} };
        const taps = new SessionTaps({
          permissions: Permissions.of(policy, [], someone),
          audit: () => {},
          client: { send: () => {}, whenRead: (then) => then() },
        });
        for (const [up, first, rest] of messages) {
          const bytes = Uint8Array.of(first, ...rest);
          for (const tap of up ? taps.tapsToUpstream() : taps.tapsToDownstream()) {
            if (!tap.numbers.includes(first)) continue;
            try {
              tap.see({ bytes, start: 0, end: bytes.length, padding: 0 });
            } catch (error) {
              assert.ok(error instanceof PosternError && error.blame === "PEER", String(error));
            }
          }
        }
      },
    ),
  );
});

test("a command with a sign that a shell acts upon fits only patterns with the same sign", () => {
  const sign = fc.constantFrom(";", "&", "|", "<", ">", "$", "`", "(", ")", "\n", "\r");
  fc.assert(
    fc.property(
      fc.string(),
      sign,
      fc.string(),
      fc.array(fc.constantFrom("*", "?", "a", " "), { minLength: 1 }),
      (before, evil, behind, pattern) => {
        assert.ok(!fitsCommand(`${before}${evil}${behind}`, pattern.join("")));
      },
    ),
  );
});

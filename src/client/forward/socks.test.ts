import assert from "node:assert/strict";
import { test } from "node:test";
import { PosternError } from "#base";
import { SocksConversation, type SocksStep } from "./socks.ts";

const bytes = (...parts: (number | string)[]): Buffer =>
  Buffer.concat(parts.map((part) => (typeof part === "number" ? Buffer.of(part) : Buffer.from(part))));

/** All that a client says, in chunks of `size`; what we say is checked by `sent`. */
function talk(
  said: Buffer,
  size: number,
): { last: SocksStep; sent: string; conversation: SocksConversation } {
  const conversation = new SocksConversation();
  let sent = "";
  let last: SocksStep = { kind: "more" };
  let at = 0;
  for (; at < said.length && last.kind !== "connect" && last.kind !== "refuse"; at += size) {
    last = conversation.receive(said.subarray(at, at + size));
    while (last.kind === "send") {
      sent += Buffer.from(last.bytes).toString("hex");
      last = conversation.receive(Buffer.alloc(0));
    }
  }
  return { last, sent, conversation };
}

const asked: readonly [what: string, said: Buffer, host: string, sent: string][] = [
  ["SOCKS4", bytes(4, 1, 0, 80, 10, 0, 0, 1, "user", 0), "10.0.0.1", ""],
  ["SOCKS4a", bytes(4, 1, 0, 80, 0, 0, 0, 1, 0, "web.example", 0), "web.example", ""],
  ["SOCKS5, IPv4", bytes(5, 1, 0, 5, 1, 0, 1, 10, 0, 0, 1, 0, 80), "10.0.0.1", "0500"],
  ["SOCKS5, name", bytes(5, 2, 0, 2, 5, 1, 0, 3, 11, "web.example", 0, 80), "web.example", "0500"],
  [
    "SOCKS5, IPv6",
    bytes(5, 1, 0, 5, 1, 0, 4, 0x20, 1, 13, 0xb8, ...Array.from({ length: 11 }, () => 0), 1, 0, 80),
    "2001:db8:0:0:0:0:0:1",
    "0500",
  ],
];
for (const [what, said, host, answer] of asked) {
  for (const size of [1, 3, 1000]) {
    test(`${what} in chunks of ${size}`, () => {
      const { last, sent } = talk(said, size);
      assert.deepEqual(last, { kind: "connect", to: { host, port: 80 }, rest: new Uint8Array(0) });
      assert.equal(sent, answer);
    });
  }
  test(`${what}: a byte missing is waited for, bytes over belong to the connection`, () => {
    assert.equal(talk(said.subarray(0, -1), 1000).last.kind, "more");
    const { last } = talk(Buffer.concat([said, Buffer.from("GET /")]), 1000);
    assert.ok(last.kind === "connect");
    assert.equal(Buffer.from(last.rest).toString(), "GET /");
  });
}

test("what is no CONNECT, or wants a login, is refused in SOCKS's own words", () => {
  const refusals: readonly [Buffer, string][] = [
    [bytes(4, 2, 0, 80, 10, 0, 0, 1, 0), "005b000000000000"],
    [bytes(5, 1, 2), "05ff"],
    [bytes(5, 1, 0, 5, 2, 0, 1, 10, 0, 0, 1, 0, 80), "05070001000000000000"],
    [bytes(5, 1, 0, 5, 1, 0, 9, 10, 0, 0, 1, 0, 80), "05080001000000000000"],
  ];
  for (const [said, answer] of refusals) {
    const { last } = talk(said, 1000);
    assert.ok(last.kind === "refuse", said.toString("hex"));
    assert.equal(Buffer.from(last.bytes).toString("hex"), answer);
  }
});

test("the answer is that of the version", () => {
  const four = talk(bytes(4, 1, 0, 80, 10, 0, 0, 1, 0), 100).conversation;
  assert.equal(Buffer.from(four.answer("granted")).toString("hex"), "005a000000000000");
  const five = talk(bytes(5, 1, 0, 5, 1, 0, 1, 10, 0, 0, 1, 0, 80), 100).conversation;
  assert.equal(Buffer.from(five.answer("granted")).toString("hex"), "05000001000000000000");
  assert.equal(five.answer("unreachable")[1], 4);
});

for (const said of [
  bytes("GET / HTTP/1.1\r\n"),
  bytes(4, 1, 0, 80, 10, 0, 0, 1, "x".repeat(600)),
  bytes(5, 1, 0, 5, 1, 0, 3, 3, "a b", 0, 80),
  bytes(5, 1, 0, 5, 1, 0, 3, 1, "a", 0, 0),
  bytes(4, 1, 0, 80, 0, 0, 0, 1, 0, "\r\n", 0),
]) {
  test(`garbage: ${said
    .toString("latin1")
    .slice(0, 20)
    .replace(/[^ -~]/g, ".")}`, () => {
    assert.throws(
      () => talk(said, 1000),
      (error) => error instanceof PosternError && error.code === "PEER_SOCKS_INVALID",
    );
  });
}

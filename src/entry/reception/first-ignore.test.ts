import assert from "node:assert/strict";
import { test } from "node:test";
import { hostInIgnore, isHttpForm, maxIgnorePacketBytes } from "./first-ignore.ts";

function packet(data: string, type = 2, padding = 8): Buffer {
  const head = Buffer.alloc(10);
  head.writeUInt32BE(1 + 1 + 4 + data.length + padding, 0);
  head[4] = padding;
  head[5] = type;
  head.writeUInt32BE(data.length, 6);
  return Buffer.concat([head, Buffer.from(data, "latin1"), Buffer.alloc(padding)]);
}

test("the line of an SSH stream that looks like a request", () => {
  for (const line of ["SSH-2.0-x / HTTP/1.1", "SSH-2.0-OpenSSH_9.2 / HTTP/1.0"]) assert.ok(isHttpForm(line));
  for (const line of [
    "SSH-2.0-x",
    "SSH-2.0-x / HTTP/2",
    "SSH-2.0- / HTTP/1.1",
    "SSH-2.0-x / HTTP/1.1 y",
    "GET / HTTP/1.1",
  ])
    assert.equal(isHttpForm(line), false, line);
});

test("the name in the first packet", () => {
  for (const [data, name] of [
    ["\r\nHost: web1.example\r\n", "web1.example"],
    ["\r\nhost:web1\r\nX: y\r\n\r\n", "web1"],
    ["junk\nHost:  web1:22 \n", "web1"],
  ] as const)
    assert.deepEqual(hostInIgnore(packet(data)), { name }, data);
});

test("byte by byte nothing is known before the end", () => {
  const whole = packet("\r\nHost: web1\r\n");
  for (let length = 0; length < whole.length; length++)
    assert.equal(hostInIgnore(whole.subarray(0, length)), "incomplete", String(length));
  assert.deepEqual(hostInIgnore(Buffer.concat([whole, Buffer.from("more")])), { name: "web1" });
});

test("what is no such packet names nobody", () => {
  const wrong = packet("\r\nHost: web1\r\n");
  wrong.writeUInt32BE(4000, 6);
  const cases = [
    packet("\r\nHost: web1\r\n", 20),
    packet("Host: web1\r\n"),
    packet("\r\nHost: web1"),
    packet("\r\nHost: a b\r\n"),
    packet("\r\nHost: a\r\nHost: b\r\n"),
    packet("\r\nX-Host: a\r\n"),
    packet("", 2, 0),
    wrong,
    Buffer.from([0, 0, 0, 0]),
    Buffer.from([0, 0, 0, 6, 255, 2, 0, 0, 0, 0]),
    packet(`\r\nHost: ${"x".repeat(maxIgnorePacketBytes)}\r\n`),
  ];
  for (const [at, bytes] of cases.entries()) assert.equal(hostInIgnore(bytes), undefined, String(at));
});

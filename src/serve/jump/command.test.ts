import assert from "node:assert/strict";
import { test } from "node:test";
import { nameOfPath } from "../socket-path.ts";
import { type JumpCommand, maxCommandChars, parseCommand } from "./command.ts";

const web1: JumpCommand = { kind: "connect", name: "web1", port: 22 };
const understood: readonly [string, JumpCommand][] = [
  ["nc web1 22", web1],
  ["  nc\tweb1   22  ", web1],
  ["nc web1 ssh", web1],
  ["netcat web1 22", web1],
  ["/bin/nc web1 22", web1],
  ["/usr/bin/ncat web1 22", web1],
  ["/usr/local/bin/nc web1 22", web1],
  ["exec nc web1 22", web1],
  ["nc web1 22 2>/dev/null", web1],
  ["nc web1 22 2> /dev/null", web1],
  ["nc -4 -N -w 3 -q0 web1 22", web1],
  ["nc -q -1 -nv web1 22", web1],
  ["nc 2001:db8::1 2222", { kind: "connect", name: "2001:db8::1", port: 2222 }],
  ["nc -U /home/host/web1.sock", { kind: "connect-path", path: "/home/host/web1.sock" }],
  ["nc -N -U /home/host/web1", { kind: "connect-path", path: "/home/host/web1" }],
  ["ls", { kind: "list", json: false }],
  ["ls --json", { kind: "list", json: true }],
  ["help", { kind: "help" }],
  ["--help", { kind: "help" }],
];
for (const [line, command] of understood)
  test(`understood: ${line}`, () => assert.deepEqual(parseCommand(line), command));

const refused: readonly [string, RegExp][] = [
  ["", /no such commands/],
  ["sh", /no such commands/],
  ["/tmp/nc web1 22", /no such commands/],
  ["exec", /no such commands/],
  ["exec exec nc web1 22", /no such commands/],
  ["nc", /wants a host/],
  ["nc web1", /the port must be/],
  ["nc web1 0", /the port must be/],
  ["nc web1 65536", /the port must be/],
  ["nc web1 22 23", /wants a host/],
  ["nc web1 22; id", /wants a host/],
  ["nc web1 22;id", /the port must be/],
  ["nc web1 $(id)", /the port must be/],
  ["nc -e /bin/sh web1 22", /-e is not understood/],
  ["nc -l 22", /-l is not understood/],
  ["nc -x proxy:80 web1 22", /-x is not understood/],
  ["nc -w web1 22", /-w is not understood/],
  ["nc web1 -N 22", /after the host/],
  ["nc -U", /wants a host/],
  ["nc -U /a /b", /nothing else/],
  ["nc -U -U /a", /-U is not understood/],
  ["nc -\u001b[2J web1 22", /an option is not understood/],
  ["ls -l", /no option but/],
  ["ls --json web1", /no option but/],
  [`nc ${"a".repeat(maxCommandChars)} 22`, /too long/],
];
for (const [line, reason] of refused)
  test(`refused: ${line.slice(0, 40)}`, () => {
    const command = parseCommand(line);
    assert.equal(command.kind, "unknown");
    assert.match(command.text, reason);
  });

test("the name in a socket's path", () => {
  for (const path of ["/home/host/web1.sock", "/home/host/web1", "/web1", "/a.b/web1.sock"])
    assert.equal(nameOfPath(path), "web1", path);
  assert.equal(nameOfPath("/x/web1.gate.sock"), "web1.gate");
  for (const path of [
    "",
    "/",
    "web1",
    "./web1",
    "/home/host/",
    "/home//web1",
    "/..",
    "/a/.",
    "/a\0/b",
    "~/web1",
  ])
    assert.equal(nameOfPath(path), undefined, path);
});

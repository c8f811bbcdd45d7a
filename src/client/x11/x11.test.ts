import assert from "node:assert/strict";
import { test } from "node:test";
import { Secret } from "#base";
import { fakeCookie, parseXauthList } from "./cookie.ts";
import { parseDisplay, xauthName } from "./display.ts";
import { FirstWords } from "./first-words.ts";

test("displays as DISPLAY writes them", () => {
  const place = (name: string): unknown => parseDisplay(name)?.place;
  assert.deepEqual(place(":0"), { kind: "unix", path: "/tmp/.X11-unix/X0" });
  assert.deepEqual(place("unix:12.1"), { kind: "unix", path: "/tmp/.X11-unix/X12" });
  assert.equal(parseDisplay("unix:12.1")?.screen, 1);
  assert.deepEqual(place("localhost:10.0"), { kind: "tcp", host: "localhost", port: 6010 });
  assert.deepEqual(place("[::1]:1"), { kind: "tcp", host: "::1", port: 6001 });
  assert.deepEqual(place("/tmp/launch/org:0"), { kind: "unix", path: "/tmp/launch/org:0" });
  for (const bad of [
    "",
    ":",
    "host",
    ":x",
    ":0.",
    ":60000",
    ":0;rm",
    "-display:0",
    "a b:0",
    "[::1:0",
    `:${"1".repeat(9)}`,
  ])
    assert.equal(parseDisplay(bad), undefined, bad);
});

test("xauth has forwarded displays under the name of local ones", () => {
  const name = (text: string): string | undefined => {
    const display = parseDisplay(text);
    return display === undefined ? undefined : xauthName(display);
  };
  assert.deepEqual([name("localhost:10.0"), name(":3"), name("host:1")], ["unix:10.0", ":3", "host:1"]);
});

test("the first line that xauth lists, and nothing of what is none", () => {
  const cookie = parseXauthList("box/unix:0  MIT-MAGIC-COOKIE-1  00ff10\nbox/unix:0  OTHER  aa\n");
  assert.equal(cookie?.protocol, "MIT-MAGIC-COOKIE-1");
  assert.deepEqual([...(cookie?.data.reveal() ?? [])], [0, 255, 16]);
  for (const bad of ["", "\n", "a b", "a b xyz", "a b 123", `a b ${"00".repeat(1000)}`, "a $(x) 00"])
    assert.equal(parseXauthList(bad), undefined, bad);
  assert.equal(fakeCookie(cookie).data.byteLength, 3);
  assert.equal(fakeCookie(undefined).data.byteLength, 16);
});

const shown = { protocol: "MIT-MAGIC-COOKIE-1", data: new Secret(Buffer.alloc(16, "f")) };
const real = { protocol: "MIT-MAGIC-COOKIE-1", data: new Secret(Buffer.alloc(16, "r")) };

/** The first words of an X client. */
function words(order: "B" | "l", name = shown.protocol, data: Uint8Array = shown.data.reveal()): Buffer {
  const head = Buffer.alloc(12);
  head[0] = order.charCodeAt(0);
  const write = (value: number, at: number): number =>
    order === "B" ? head.writeUInt16BE(value, at) : head.writeUInt16LE(value, at);
  for (const [value, at] of [
    [11, 2],
    [name.length, 6],
    [data.length, 8],
  ] as const)
    write(value, at);
  const padded = (bytes: Uint8Array): Buffer =>
    Buffer.concat([bytes, Buffer.alloc((4 - (bytes.length % 4)) % 4)]);
  return Buffer.concat([head, padded(Buffer.from(name)), padded(data)]);
}

test("the cookie that was given out is replaced by the display's own, whole or byte by byte", () => {
  for (const order of ["B", "l"] as const) {
    const rest = Buffer.from("and more");
    const whole = Buffer.concat([words(order), rest]);
    const expected = Buffer.concat([words(order, real.protocol, real.data.reveal()), rest]);
    assert.deepEqual(new FirstWords(shown, real).receive(whole), expected);
    const slow = new FirstWords(shown, real);
    const length = words(order).length;
    for (let n = 0; n < length - 1; n++) assert.equal(slow.receive(whole.subarray(n, n + 1)), undefined);
    assert.deepEqual(slow.receive(whole.subarray(length - 1)), expected);
    assert.deepEqual(new FirstWords(shown, undefined).receive(whole), whole, "a display without cookies");
  }
});

test("whoever shows another cookie, another protocol or no X11 is refused", () => {
  const other = Buffer.alloc(16, "f");
  other[15] = 0;
  for (const bad of [
    words("l", shown.protocol, other),
    words("l", shown.protocol, Buffer.alloc(0)),
    words("l", shown.protocol, Buffer.alloc(17, "f")),
    words("B", "MIT-MAGIC-COOKIE-2"),
    words("B", ""),
    Buffer.from("GET / HTTP/1.1\r\n"),
  ])
    assert.throws(() => new FirstWords(shown, real).receive(bad), { code: "PEER_X11_REFUSED" });
});

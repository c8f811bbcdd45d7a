import assert from "node:assert/strict";
import { test } from "node:test";
import { PosternError } from "#base";
import { type ForwardSpec, formatPlace, parseDynamic, parseForward } from "./spec.ts";

const shown = ({ listen, to }: ForwardSpec): string =>
  `${formatPlace(listen)} -> ${to === undefined ? "SOCKS" : formatPlace(to)}`;

const locals: readonly [text: string, meaning: string][] = [
  ["8008:web:80", "localhost:8008 -> web:80"],
  ["127.0.0.1:8008:web:80", "127.0.0.1:8008 -> web:80"],
  ["*:8008:web:80", "*:8008 -> web:80"],
  [":8008:web:80", "*:8008 -> web:80"],
  ["[::1]:8008:[2001:db8::1]:80", "[::1]:8008 -> [2001:db8::1]:80"],
  ["8008:[::1]:80", "localhost:8008 -> [::1]:80"],
  ["8008 web:80", "localhost:8008 -> web:80"],
  ["/run/a.sock:web:80", "/run/a.sock -> web:80"],
  ["8008:/run/b.sock", "localhost:8008 -> /run/b.sock"],
  ["localhost:8008:/run/b.sock", "localhost:8008 -> /run/b.sock"],
  ["/run/a.sock:/run/b.sock", "/run/a.sock -> /run/b.sock"],
  ["./a.sock:./b.sock", "./a.sock -> ./b.sock"],
  ["/run/with\\:colon:web:80", "/run/with:colon -> web:80"],
  ["0:web:80", "localhost:0 -> web:80"],
];
for (const [text, meaning] of locals) {
  test(`-L ${text}`, () => {
    assert.equal(shown(parseForward("local", text)), meaning);
  });
}

const remotes: readonly [text: string, meaning: string][] = [
  ["9000:localhost:3000", "localhost:9000 -> localhost:3000"],
  ["9000", "localhost:9000 -> SOCKS"],
  ["*:9000", "*:9000 -> SOCKS"],
  ["[::1]:9000", "[::1]:9000 -> SOCKS"],
  ["/home/host/box.sock:localhost:22", "/home/host/box.sock -> localhost:22"],
  ["/home/host/box.sock", "/home/host/box.sock -> SOCKS"],
];
for (const [text, meaning] of remotes) {
  test(`-R ${text}`, () => {
    assert.equal(shown(parseForward("remote", text)), meaning);
  });
}

for (const [text, meaning] of [
  ["1080", "localhost:1080 -> SOCKS"],
  ["[::]:1080", "[::]:1080 -> SOCKS"],
] as const) {
  test(`-D ${text}`, () => {
    assert.equal(shown(parseDynamic(text)), meaning);
  });
}

for (const text of [
  "",
  "8008",
  "web:80",
  "a:b:c:d",
  "1:2:3:4:5",
  "8008:web:0",
  "70000:web:80",
  "[::1:80:web:80",
  "8008:web:",
  "8008::80",
  "/a:/b:/c",
  "x".repeat(200) + "/:1:2",
]) {
  test(`-L ${text.slice(0, 30)}: refused in one sentence`, () => {
    assert.throws(
      () => parseForward("local", text),
      (error) => error instanceof PosternError && /^-L .*: .*\.$/.test(error.detail ?? ""),
    );
  });
}

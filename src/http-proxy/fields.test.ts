import assert from "node:assert/strict";
import { test } from "node:test";
import {
  answerFields,
  cookiesOf,
  deviceCookie,
  endToEnd,
  fieldsOf,
  requestFields,
  withoutCookies,
} from "./fields.ts";

const told = {
  from: { ip: "192.0.2.1", port: 5, text: "192.0.2.1:5" },
  host: "kiosk7.devices.example",
  hostForDevice: "localhost",
  secure: true,
} as const;

test("a flat list becomes fields; pieces of Cookie are one again; HTTP/2's own are left out", () => {
  const raw = [":path", "/", "cookie", "a=1", "X", "1", "Cookie", "b=2", "x", "2"];
  assert.deepEqual(fieldsOf(raw), [
    ["cookie", "a=1; b=2"],
    ["X", "1"],
    ["x", "2"],
  ]);
  assert.deepEqual(fieldsOf([]), []);
  assert.deepEqual(fieldsOf(["alone"]), []);
});

test("what is of one connection stays there, also what Connection names", () => {
  const fields = fieldsOf([
    "Connection",
    "close, X-Hop ,",
    "connection",
    "x-other",
    "x-hop",
    "1",
    "X-OTHER",
    "2",
    "Keep-Alive",
    "timeout=5",
    "TE",
    "trailers",
    "Transfer-Encoding",
    "chunked",
    "Upgrade",
    "h2c",
    "HTTP2-Settings",
    "x",
    "Proxy-Authorization",
    "x",
    "Kept",
    "yes",
  ]);
  assert.deepEqual(endToEnd(fields), [["Kept", "yes"]]);
});

test("a body's length stays with it, whatever Connection says", () => {
  const fields = fieldsOf(["Connection", "content-length, X", "Content-Length", "5", "X", "1"]);
  assert.deepEqual(endToEnd(fields), [["Content-Length", "5"]]);
});

test("who comes is told by us alone, however it is spelt", () => {
  const lies = [
    "Host",
    "evil",
    "X-Forwarded-For",
    "1",
    "x_forwarded_for",
    "2",
    "X-FORWARDED_Proto",
    "3",
    "Forwarded",
    "4",
    "X-Real-IP",
    "5",
    "x_real_ip",
    "6",
    "X.Forwarded.User",
    "8",
    "X-Forwarded~User",
    "9",
    "X-Forwarded-Anything",
    "7",
    "X-Forward",
    "kept",
  ];
  assert.deepEqual(requestFields(fieldsOf(lies), { ...told, user: "jörg & co" }), [
    ["Host", "localhost"],
    ["X-Forward", "kept"],
    ["X-Forwarded-For", "192.0.2.1"],
    ["X-Forwarded-Proto", "https"],
    ["X-Forwarded-Host", "kiosk7.devices.example"],
    ["X-Forwarded-User", "j%C3%B6rg%20%26%20co"],
    ["Forwarded", 'for=192.0.2.1;host="kiosk7.devices.example";proto=https'],
  ]);
  const v6 = requestFields([], { ...told, from: { ip: "2001:db8::1", text: "" } });
  assert.deepEqual(v6.at(-1), ["Forwarded", 'for="[2001:db8::1]";host="kiosk7.devices.example";proto=https']);
  const unix = requestFields([], { ...told, from: { text: "unix" } });
  assert.deepEqual(
    unix.map(([name]) => name),
    ["Host", "X-Forwarded-Proto", "X-Forwarded-Host", "Forwarded"],
  );
});

test("cookies: ours is found, and taken away; the others stay as they are", () => {
  const fields = fieldsOf(["Cookie", "a=1; t=x=y;t2=z; t = w"]);
  assert.deepEqual(cookiesOf(fields, "t"), ["x=y", "w"]);
  assert.equal(withoutCookies("a=1; t=x; b=2", "t"), "a=1;  b=2".replace("  ", " "));
  assert.equal(withoutCookies("t=x", "t"), undefined);
  assert.equal(withoutCookies("T=x; tt=1; u=2", "t"), "T=x;  u=2".replace("  ", " "));
});

test("a device's cookies are its own, and cannot be called as ours is", () => {
  assert.equal(deviceCookie("a=1; Path=/; domain=devices.example; HttpOnly", "t"), "a=1; Path=/; HttpOnly");
  assert.equal(deviceCookie("a=1;DOMAIN = x;Secure", "t"), "a=1;Secure");
  assert.equal(deviceCookie("a=domain=x; Max-Age=1", "t"), "a=domain=x; Max-Age=1");
  for (const value of ["t=1", " t =1; Path=/", "T=1", "t-browser=1", "=t=1", " = t=1; Path=/"])
    assert.equal(deviceCookie(value, "t"), undefined);
  const fields = fieldsOf([
    "Set-Cookie",
    "t=1",
    "set-cookie",
    "b=2; Domain=x",
    "Connection",
    "close",
    "A",
    "1",
  ]);
  assert.deepEqual(answerFields(fields, "t"), [
    ["set-cookie", "b=2"],
    ["A", "1"],
  ]);
});

import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { test } from "node:test";
import type { Asked } from "./asked.ts";
import type { Fields } from "./fields.ts";
import { goTo, loginPage, logoutPage } from "./pages.ts";
import { answerAt, cookieAt, pageAt, placeAt, placedByPath } from "./prefix.ts";

const prefix = "/d/kiosk7";

function asked(path: string, fields: Fields = []): Asked {
  const host = "gate.example.com";
  return { method: "GET", path, host, authority: host, fields, body: Readable.from([]), length: "none" };
}

test("which device a path means, and what is left of it", () => {
  const rows: readonly (readonly [string, string | undefined, string?])[] = [
    ["/d/kiosk7/", "kiosk7", "/"],
    ["/d/kiosk7/a/b?c=/d/x/", "kiosk7", "/a/b?c=/d/x/"],
    ["/d/a.b-c_d/..%2f", "a.b-c_d", "/..%2f"],
    ["/d/kiosk7/../kiosk8/", "kiosk7", "/../kiosk8/"],
    ["/d/KIOSK7/", undefined],
    ["/d//a", undefined],
    ["/d/-a/", undefined],
    ["/d/%6biosk7/", undefined],
    ["/d/", undefined],
    ["/d", undefined],
    ["/", undefined],
    ["/dx/kiosk7/", undefined],
    ["//d/kiosk7/", undefined],
  ];
  for (const [path, name, rest] of rows) {
    const found = placedByPath(asked(path));
    const told =
      found !== undefined && "name" in found ? [found.name, found.asked.path] : [undefined, undefined];
    assert.deepEqual(told, [name, rest], path);
  }
  assert.deepEqual(placedByPath(asked("/d/kiosk7")), { elsewhere: "/d/kiosk7/" });
  assert.deepEqual(placedByPath(asked("/d/kiosk7?a=1")), { elsewhere: "/d/kiosk7/?a=1" });
});

test("the gateway's cookie of this path counts, and nothing that has the other name", () => {
  const cookie = "a=1; __Secure-postern=good; __Host-postern=evil; b=2";
  const found = placedByPath(asked("/d/kiosk7/", [["Cookie", cookie]]));
  assert.ok(found !== undefined && "asked" in found);
  assert.deepEqual(found.asked.fields, [["Cookie", "a=1; __Host-postern=good; b=2"]]);
  const none = placedByPath(asked("/d/kiosk7/", [["cookie", "__Host-postern=evil"]]));
  assert.ok(none !== undefined && "asked" in none);
  assert.deepEqual(none.asked.fields, []);
});

test("where an answer leads", () => {
  const hosts = ["gate.example.com", "localhost:8080"];
  for (const [value, place] of [
    ["/", "/d/kiosk7/"],
    ["/a?b#c", "/d/kiosk7/a?b#c"],
    ["/d/kiosk7/a", "/d/kiosk7/a"],
    ["/d/kiosk77/a", "/d/kiosk7/d/kiosk77/a"],
    ["a/b", "a/b"],
    ["?x", "?x"],
    ["", ""],
    ["//elsewhere.example/a", "//elsewhere.example/a"],
    ["//gate.example.com/a", "/d/kiosk7/a"],
    ["https://elsewhere.example/a", "https://elsewhere.example/a"],
    ["http://LOCALHOST:8080/a", "/d/kiosk7/a"],
    ["https://gate.example.com", "/d/kiosk7/"],
    ["https://gate.example.com?x", "/d/kiosk7/?x"],
    ["https://gate.example.com.evil/a", "https://gate.example.com.evil/a"],
  ] as const)
    assert.equal(placeAt(prefix, value, hosts), place, value);
});

test("a cookie stays at its device's paths", () => {
  for (const [value, moved] of [
    ["a=1", "a=1; Path=/d/kiosk7/"],
    ["a=1; Path=/; HttpOnly", "a=1; Path=/d/kiosk7/; HttpOnly"],
    ["a=1;path=/x", "a=1; Path=/d/kiosk7/x"],
    ["a=1; Path=/d/kiosk8/", "a=1; Path=/d/kiosk7/d/kiosk8/"],
    ["a=1; Path=/d/kiosk7/x", "a=1; Path=/d/kiosk7/x"],
    ["a=1; Path=", "a=1; Path=/d/kiosk7/"],
    ["a=1; Path=/; Path=/d/kiosk8", "a=1; Path=/d/kiosk7/; Path=/d/kiosk7/d/kiosk8"],
  ] as const)
    assert.equal(cookieAt(prefix, value), moved, value);
});

test("no device speaks for the whole host, or sets what is ours", () => {
  const fields: Fields = [
    ["Service-Worker-Allowed", "/"],
    ["Clear-Site-Data", '"*"'],
    ["NEL", '{"report_to":"all"}'],
    ["Report-To", '{"group":"all"}'],
    ["Alt-Svc", 'h2=":8443"'],
    ["Strict-Transport-Security", "max-age=0"],
    ["Set-Cookie", "__Secure-postern=evil; Path=/d/kiosk8/"],
    ["Set-Cookie", " =__secure-postern=evil"],
    ["Set-Cookie", "a=1"],
    ["location", "/a"],
    ["X", "/a"],
  ];
  assert.deepEqual(answerAt(prefix, fields, []), [
    ["Set-Cookie", "a=1; Path=/d/kiosk7/"],
    ["location", "/d/kiosk7/a"],
    ["X", "/a"],
  ]);
});

test("our own pages lead to themselves at that path", () => {
  const ways = { passwords: true, providers: [] };
  const login = pageAt(prefix, loginPage("gate.example.com", "/a", ways)).text;
  assert.match(login, /action="\/d\/kiosk7\/\.postern\/login"/);
  assert.match(login, /name="next" value="\/a"/);
  assert.match(pageAt(prefix, logoutPage("h")).text, /action="\/d\/kiosk7\/\.postern\/logout"/);
  const set = "__Host-postern=t; Path=/; Max-Age=60; Secure; HttpOnly; SameSite=Lax";
  assert.deepEqual(pageAt(prefix, goTo("/a", [["Set-Cookie", set]])).fields, [
    ["Location", "/d/kiosk7/a"],
    ["Set-Cookie", "__Secure-postern=t; Path=/d/kiosk7/; Max-Age=60; Secure; HttpOnly; SameSite=Lax"],
  ]);
});

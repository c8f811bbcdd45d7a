import assert from "node:assert/strict";
import { test } from "node:test";
import { basicLogin } from "./basic.ts";

const encode = (text: string): string => Buffer.from(text).toString("base64");

test("name and password, parted at the first colon", () => {
  const rows: readonly (readonly [string, string, string])[] = [
    ["ada:lovelace", "ada", "lovelace"],
    ["ada:a:b", "ada", "a:b"],
    [":secret", "", "secret"],
    ["j\u00f6rg:\u2713", "j\u00f6rg", "\u2713"],
    ["ada:", "ada", ""],
  ];
  for (const [text, user, password] of rows) {
    const login = basicLogin(`Basic ${encode(text)}`);
    assert.equal(login?.user, user);
    assert.equal(Buffer.from(login?.password ?? []).toString(), password);
  }
  assert.equal(basicLogin(`bAsIc   ${encode("a:b")} `)?.user, "a");
});

test("anything else is no login", () => {
  const odd = [
    "",
    "Basic",
    "Basic ",
    `Bearer ${encode("a:b")}`,
    `Basic ${encode("none")}`,
    "Basic !!!",
    "Basic a b",
  ];
  for (const header of [undefined, ...odd, `Basic ${Buffer.from([0xff, 0x3a]).toString("base64")}`])
    assert.equal(basicLogin(header), undefined, header ?? "none");
});

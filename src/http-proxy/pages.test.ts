import assert from "node:assert/strict";
import { test } from "node:test";
import { loginPage, plainPage, safePath } from "./pages.ts";

test("a login leads to a path of the same host, whatever was asked for", () => {
  for (const path of ["/", "/a/b?c=d&e=%2F", "/x//y", "/.well-known/x"]) assert.equal(safePath(path), path);
  for (const path of [
    undefined,
    null,
    "",
    "a",
    "//evil.example",
    "/\\evil.example",
    "/a\\b",
    "/\t/evil.example",
    "/\n/evil",
    "https://evil.example",
    "javascript:alert(1)",
    "/ä",
    "/a b",
    "/.postern/logout",
    `/${"x".repeat(3000)}`,
  ])
    assert.equal(safePath(path), "/", JSON.stringify(path));
});

test("nothing that was said becomes a part of the page", () => {
  const { text } = loginPage(
    'k"><script>',
    '/"><script>alert(1)</script>',
    { passwords: true, providers: ['"><b>p'] },
    "<b>wrong</b>",
  );
  assert.doesNotMatch(text, /<script|<b>/);
  assert.match(text, /value="\/&#34;&#62;&#60;script&#62;/);
  assert.doesNotMatch(plainPage(502, "<i>", "<u>").text, /<[iu]>/);
});

import assert from "node:assert/strict";
import type { IncomingHttpHeaders } from "node:http";
import { test } from "node:test";
import { accessOf } from "./access.ts";
import { tokenDigest } from "./files.ts";

const rules = { token: tokenDigest("correct-token"), users: ["ada", "bob, the builder"] };
const bearer = { authorization: "Bearer correct-token" };

function judged(headers: IncomingHttpHeaders, method = "GET", more = rules): string {
  const access = accessOf(method, headers, more);
  return access.kind === "allowed" ? access.by : String(access.status);
}

test("the token, whole and nothing else", () => {
  assert.equal(judged(bearer), "token");
  for (const authorization of [
    "",
    "Bearer",
    "Bearer ",
    "Bearer correct-toke",
    "Bearer correct-tokens",
    "Bearer correct-token x",
    "Basic correct-token",
    "correct-token",
    `Bearer ${"x".repeat(5000)}`,
  ])
    assert.equal(judged({ authorization }), "401", authorization);
  // A token that is wrong is not mended by a name.
  assert.equal(judged({ authorization: "Bearer x", "x-forwarded-user": "ada" }), "401");
});

test("the gateway's header is believed only of those who are named, and of nobody by default", () => {
  assert.equal(judged({ "x-forwarded-user": "ada" }), "ada");
  assert.equal(judged({ "x-forwarded-user": "bob%2C%20the%20builder" }), "bob, the builder");
  assert.equal(judged({ "x-forwarded-user": "eve" }), "403");
  for (const said of ["", "ada, eve", "%", "ada,ada"])
    assert.equal(judged({ "x-forwarded-user": said }), "401", said);
  assert.equal(judged({ "x-forwarded-user": "ada" }, "GET", { ...rules, users: [] }), "401");
  assert.equal(judged({}), "401");
});

test("what another site's page asks for is refused, whoever is logged in", () => {
  const ada = { host: "127.0.0.1:80", "x-forwarded-host": "kiosk7.example:8443", "x-forwarded-user": "ada" };
  for (const headers of [{}, { origin: "https://kiosk7.example:8443" }, { "sec-fetch-site": "same-origin" }])
    assert.equal(judged({ ...ada, ...headers }, "POST"), "ada", JSON.stringify(headers));
  for (const headers of [
    { origin: "https://evil.example" },
    { origin: "https://kiosk7.example" },
    { origin: "https://kiosk7.example:8443.evil.example" },
    { origin: "null" },
    { origin: "" },
    { "sec-fetch-site": "cross-site" },
    { "sec-fetch-site": "same-site" },
    { "sec-fetch-site": "none" },
    { "sec-fetch-site": "same-origin", origin: "https://kiosk8.example:8443" },
  ])
    for (const who of [ada, { ...ada, ...bearer }])
      assert.equal(judged({ ...who, ...headers }, "POST"), "403", JSON.stringify(headers));
  // An address typed by its user.
  assert.equal(judged({ ...ada, "sec-fetch-site": "none" }), "ada");
  assert.equal(judged({ ...ada, "sec-fetch-site": "cross-site" }), "403");
});

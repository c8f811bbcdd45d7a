import assert from "node:assert/strict";
import { IncomingMessage } from "node:http";
import { Socket } from "node:net";
import { test } from "node:test";
import { type Asked, askedOf, isForeign, isProgram, isVisit, isWebSocket } from "./asked.ts";

/** A request as Node's parser hands it over. */
function requestOf(rawHeaders: readonly string[], more: Partial<IncomingMessage> = {}): IncomingMessage {
  const request = new IncomingMessage(new Socket());
  const version = { httpVersion: "1.1", httpVersionMajor: 1, httpVersionMinor: 1 };
  return Object.assign(request, {
    method: "GET",
    url: "/",
    ...version,
    rawHeaders: [...rawHeaders],
    ...more,
  });
}

function asked(rawHeaders: readonly string[], more: Partial<IncomingMessage> = {}): Asked {
  const found = askedOf(requestOf(["Host", "k.d.example", ...rawHeaders], more));
  if (typeof found === "number") throw new Error(`refused with ${found}`);
  return found;
}

test("one host, said plainly, or none at all", () => {
  const rows: readonly (readonly [readonly string[], string | number])[] = [
    [["Host", "K.D.example"], "k.d.example"],
    [["Host", "k.d.example:8443"], "k.d.example"],
    [[], 400],
    [["Host", ""], 400],
    [["Host", "a", "host", "a"], 400],
    [["Host", "a, b"], 400],
    [["Host", "a@b"], 400],
    [["Host", "a/b"], 400],
    [["Host", "[::1]"], 400],
    [["Host", "a:b"], 400],
    [["Host", "ä"], 400],
  ];
  for (const [raw, expected] of rows) {
    const found = askedOf(requestOf(raw));
    assert.equal(typeof found === "number" ? found : found.host, expected, raw.join());
  }
  for (const url of ["http://a/", "*", "", "a"])
    assert.equal(askedOf(requestOf(["Host", "a"], { url })), 400, url);
  for (const method of ["TRACE", "CONNECT", "track"])
    assert.equal(askedOf(requestOf(["Host", "a"], { method })), 405, method);
});

test("how long a body is has been said in one way, or it is refused", () => {
  const rows: readonly (readonly [readonly string[], string, Asked["length"] | 400])[] = [
    [[], "1.1", "none"],
    [["Content-Length", "3"], "1.1", "said"],
    [["Transfer-Encoding", "Chunked"], "1.1", "chunked"],
    [["Transfer-Encoding", "chunked"], "1.0", 400],
    [["Transfer-Encoding", "gzip, chunked"], "1.1", 400],
    [["Transfer-Encoding", "xchunked"], "1.1", 400],
    [["Transfer-Encoding", "chunked", "Transfer-Encoding", "chunked"], "1.1", 400],
    [["Transfer-Encoding", "chunked", "Content-Length", "3"], "1.1", 400],
  ];
  for (const [raw, httpVersion, expected] of rows) {
    const found = askedOf(requestOf(["Host", "a", ...raw], { httpVersion }));
    assert.equal(typeof found === "number" ? found : found.length, expected, raw.join());
  }
});

test("a WebSocket is asked for by GET, without a body, by both fields", () => {
  const both = ["Connection", "keep-alive, Upgrade", "Upgrade", "WebSocket"];
  assert.equal(isWebSocket(asked(both)), true);
  assert.equal(isWebSocket(asked(both, { method: "POST" })), false);
  assert.equal(isWebSocket(asked([...both, "Content-Length", "1"])), false);
  assert.equal(isWebSocket(asked(["Upgrade", "websocket"])), false);
  assert.equal(isWebSocket(asked(["Connection", "upgrade", "Upgrade", "h2c"])), false);
  assert.equal(isWebSocket(asked([...both, "Upgrade", "h2c"])), false);
});

const site = (name: string, mode = "cors", dest = "empty"): string[] => [
  "Sec-Fetch-Site",
  name,
  "Sec-Fetch-Mode",
  mode,
  "Sec-Fetch-Dest",
  dest,
];

test("another site's page is known by what the browser says of it", () => {
  const post = { method: "POST" };
  const rows: readonly (readonly [readonly string[], Partial<IncomingMessage>, boolean])[] = [
    [[], {}, false],
    [[], post, false],
    [site("same-origin"), post, false],
    [site("none", "navigate", "document"), {}, false],
    // A link leads here; a form, a frame and a script do not.
    [site("cross-site", "navigate", "document"), {}, false],
    [site("same-site", "navigate", "document"), { method: "HEAD" }, false],
    [site("same-site", "navigate", "document"), post, true],
    [site("same-site", "navigate", "iframe"), {}, true],
    [site("same-site"), {}, true],
    [site("cross-site", "no-cors", "image"), {}, true],
    [site("nonsense"), {}, true],
    // Older browsers.
    [["Origin", "https://k.d.example"], post, false],
    [["Origin", "HTTPS://K.D.example"], post, false],
    [["Origin", "https://other.d.example"], {}, true],
    [["Origin", "https://k.d.example:444"], post, true],
    [["Origin", "http://k.d.example"], post, true],
    [["Origin", "null"], post, true],
  ];
  for (const [raw, more, expected] of rows)
    assert.equal(isForeign(asked(raw, more), true, false), expected, `${raw.join()} ${more.method}`);
  assert.equal(isForeign(asked(["Origin", "http://k.d.example"]), false, false), false);
  // A WebSocket is never a link.
  assert.equal(isForeign(asked(site("cross-site", "navigate", "document")), true, true), true);
  assert.equal(isForeign(asked(site("same-site", "websocket", "empty")), true, true), true);
  assert.equal(isForeign(asked(["Origin", "https://other.d.example"]), true, true), true);
});

test("who is sent to the login page, and who is asked for a password", () => {
  assert.equal(isVisit(asked(["Accept", "text/html,*/*"])), true);
  assert.equal(isVisit(asked(["Accept", "text/html"], { method: "POST" })), false);
  assert.equal(isVisit(asked(["Accept", "text/html", ...site("same-origin")])), false);
  assert.equal(isVisit(asked(site("none", "navigate", "document"))), true);
  assert.equal(isVisit(asked(["Accept", "*/*"])), false);
  assert.equal(isProgram(asked(["Accept", "*/*"])), true);
  assert.equal(isProgram(asked(site("same-origin"))), false);
  assert.equal(isProgram(asked(["Origin", "https://x"])), false);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { clearCookie, cookieName, readTicket, setCookie, signTicket } from "./ticket.ts";

const key = Buffer.alloc(32, 1);
const ticket = {
  host: "kiosk7.devices.example",
  device: "d1",
  proof: { user: "jörg", rules: ["web"] },
  untilMs: 1000,
};
const here = { host: ticket.host, device: ticket.device, nowMs: 999 };

test("a ticket is good for its host and device, until its time is over", () => {
  const text = signTicket(ticket, key);
  assert.deepEqual(readTicket(text, key, here), ticket.proof);
  assert.equal(readTicket(text, key, { ...here, nowMs: 1000 }), undefined);
  assert.equal(readTicket(text, key, { ...here, host: "kiosk8.devices.example" }), undefined);
  assert.equal(readTicket(text, key, { ...here, device: "d2" }), undefined);
  assert.equal(readTicket(text, Buffer.alloc(32, 2), here), undefined);
});

test("changed in any place, cut off or added to, it is none", () => {
  const text = signTicket(ticket, key);
  for (let at = 0; at < text.length; at++) {
    assert.equal(readTicket(text.slice(0, at), key, here), undefined, `${at} letters`);
    const other = text[at] === "A" ? "B" : "A";
    const changed = `${text.slice(0, at)}${other}${text.slice(at + 1)}`;
    // The last letter of base64url has bits that stand for nothing.
    const same = Buffer.from(changed.split(".")[1] ?? "", "base64url").equals(
      Buffer.from(text.split(".")[1] ?? "", "base64url"),
    );
    if (at < text.indexOf(".") || !same)
      assert.equal(readTicket(changed, key, here), undefined, `letter ${at}`);
  }
  for (const odd of [`${text}.`, `${text}.x`, ` ${text}`, "", ".", "a.b", "x".repeat(5000)])
    assert.equal(readTicket(odd, key, here), undefined, odd.slice(0, 20));
});

test("its cookie goes to the one host, in TLS, and no script sees it", () => {
  assert.match(cookieName, /^__Host-/);
  assert.equal(setCookie("x", 60.5), `${cookieName}=x; Path=/; Max-Age=60; Secure; HttpOnly; SameSite=Lax`);
  assert.match(clearCookie, /=; Path=\/; Max-Age=0;/);
});

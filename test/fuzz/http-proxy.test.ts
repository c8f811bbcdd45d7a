/** What browsers, devices and people type: read, or taken for nothing; and nothing of ours is ever believed or passed on by mistake. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { basicLogin } from "../../src/http-proxy/basic.ts";
import {
  cookiesOf,
  deviceCookie,
  endToEnd,
  fieldsOf,
  requestFields,
  withoutCookies,
} from "../../src/http-proxy/fields.ts";
import { deviceOfHost, plainHost } from "../../src/http-proxy/host.ts";
import { safePath } from "../../src/http-proxy/pages.ts";
import { cookieName, readTicket, signTicket } from "../../src/http-proxy/ticket.ts";

const runs = { numRuns: Number(process.env["FUZZ_RUNS"] ?? 3000) };
const key = Buffer.alloc(32, 7);
const ticket = {
  host: "a.d",
  device: "1",
  proof: { user: "ada", rules: ["web"] },
  untilMs: 10,
} as const;
const good = signTicket(ticket, key);
const here = { host: "a.d", device: "1", nowMs: 0 };

test("tickets that we did not sign", () => {
  const odd = fc.oneof(
    fc.string({ maxLength: 300 }),
    fc
      .tuple(fc.base64String({ maxLength: 200 }), fc.base64String({ maxLength: 60 }))
      .map((each) => each.join(".")),
    fc
      .tuple(fc.nat(good.length - 1), fc.string({ minLength: 1, maxLength: 1 }))
      .map(([at, letter]) => `${good.slice(0, at)}${letter}${good.slice(at + 1)}`),
  );
  const macOf = (text: string): Buffer => Buffer.from(text.split(".")[1] ?? "", "base64url");
  fc.assert(
    fc.property(odd, (text) => {
      const found = readTicket(text, key, here);
      const isGood = text.split(".")[0] === good.split(".")[0] && macOf(text).equals(macOf(good));
      assert.equal(found !== undefined, isGood && /^[\w-]+\.[\w-]+$/.test(text));
    }),
    runs,
  );
});

const name = fc.constantFrom(
  "Cookie",
  "cookie",
  "Host",
  "Connection",
  "X-Forwarded-For",
  "x_forwarded_user",
  "Upgrade",
  "A",
);
const value = fc.oneof(
  fc.string({ maxLength: 40 }),
  fc.constantFrom(
    "a=1; b=2",
    `${cookieName}=x`,
    `a=1;${cookieName}=y; ${cookieName} = z`,
    "close, A",
    "X-Forwarded-For",
  ),
);
const raw = fc.array(fc.tuple(name, value), { maxLength: 8 }).map((pairs) => pairs.flat());

test("no device is sent our ticket, or is told a lie about who comes", () => {
  fc.assert(
    fc.property(raw, (pairs) => {
      const fields = fieldsOf(pairs);
      for (const [each, said] of fields) {
        if (each.toLowerCase() !== "cookie") continue;
        const rest = withoutCookies(said, cookieName);
        assert.deepEqual(rest === undefined ? [] : cookiesOf([["cookie", rest]], cookieName), []);
      }
      const sent = requestFields(fields, {
        from: { ip: "192.0.2.1", text: "" },
        host: "a",
        hostForDevice: "b",
        secure: true,
      });
      const told = sent.filter(([each]) => /^(?:x[-_]forwarded|forwarded|x[-_]real|host)/i.test(each));
      assert.deepEqual(
        told.map(([each]) => each),
        ["Host", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Forwarded"],
      );
      assert.ok(endToEnd(sent).every(([each]) => !/^(?:connection|upgrade)$/i.test(each)));
    }),
    runs,
  );
});

test("cookies of devices: never one called as ours, never one for their siblings", () => {
  const cookie = fc
    .array(fc.constantFrom(cookieName, "a", "=", ";", " ", "Domain", "domain=x", "Path=/", "\t"), {
      maxLength: 12,
    })
    .map((parts) => parts.join(""));
  fc.assert(
    fc.property(cookie, (text) => {
      const kept = deviceCookie(text, cookieName);
      if (kept === undefined) return;
      const [pair = "", ...attributes] = kept.split(";");
      assert.notEqual(pair.split("=")[0]?.trim(), cookieName);
      assert.ok(attributes.every((each) => each.split("=")[0]?.trim().toLowerCase() !== "domain"));
    }),
    runs,
  );
});

test("hosts, paths and Basic", () => {
  const text = fc.oneof(fc.string({ maxLength: 300 }), fc.string({ unit: "binary", maxLength: 60 }));
  fc.assert(
    fc.property(text, (each) => {
      const host = plainHost(each);
      assert.ok(host === undefined || /^[a-z0-9._-]{1,253}$/.test(host));
      const device = deviceOfHost(`${each}.d.example`, "d.example");
      assert.equal(device, each === "" ? undefined : each);
      // Whatever it is, a browser stays at this host.
      const path = safePath(`/${each}`);
      assert.equal(new URL(path, "https://a.example").origin, "https://a.example");
      const login = basicLogin(`Basic ${Buffer.from(each).toString("base64")}`);
      assert.equal(login?.user, each.isWellFormed() && each.includes(":") ? each.split(":")[0] : login?.user);
      assert.equal(basicLogin(each)?.user, undefined);
    }),
    runs,
  );
});

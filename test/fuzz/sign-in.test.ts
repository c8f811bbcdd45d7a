/** What people type, browsers bring back and others make up: nobody is let in by it, and nothing else happens. */
import assert from "node:assert/strict";
import { PassThrough, Readable } from "node:stream";
import { test } from "node:test";
import fc from "fast-check";
import { silentLog } from "#base";
import type { WebClient } from "#contract";
import { FakeClock } from "#test/support/fake-clock";
import type { Reply } from "../../src/http-proxy/asked.ts";
import type { Fields } from "../../src/http-proxy/fields.ts";
import { bindingFor, browserCookie, isBound } from "../../src/http-proxy/sign-in/binding.ts";
import { newCode, readCode } from "../../src/http-proxy/sign-in/code.ts";
import { Kept } from "../../src/http-proxy/sign-in/kept.ts";
import { SignIns } from "../../src/http-proxy/sign-in/sign-ins.ts";
import { SignInSite } from "../../src/http-proxy/sign-in/site.ts";
import type { Visitor } from "../../src/http-proxy/visitor.ts";

const runs = { numRuns: Number(process.env["FUZZ_RUNS"] ?? 2000) };

test("codes: what was shown is read in any form, and nothing else is", () => {
  const blank = fc.constantFrom("", " ", "-", "\u2013", " - ", "\t", "\u00a0");
  fc.assert(
    fc.property(fc.array(blank, { minLength: 9, maxLength: 9 }), fc.boolean(), (gaps, isLower) => {
      const code = newCode();
      const bare = code.replace("-", "");
      const typed =
        Array.from(bare)
          .map((letter, at) => `${gaps[at]}${letter}`)
          .join("") + (gaps[8] ?? "");
      const read = readCode(isLower ? typed.toLowerCase() : typed);
      assert.equal(read, typed.length > 40 ? undefined : code);
    }),
    runs,
  );
  const text = fc.oneof(
    fc.string({ maxLength: 60 }),
    fc.string({ unit: "binary", maxLength: 20 }),
    fc
      .array(fc.constantFrom("B", "c", "-", " ", "A", "0", "\u0130"), { maxLength: 12 })
      .map((all) => all.join("")),
  );
  fc.assert(
    fc.property(text, (typed) => {
      const read = readCode(typed);
      if (read === undefined) return;
      assert.match(read, /^[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}$/);
      assert.equal(readCode(read), read);
    }),
    runs,
  );
});

test("cookies: only the very browser is that browser", () => {
  const { binding, fields } = bindingFor([]);
  const own = /=([\w-]{43});/.exec(fields[0]?.[1] ?? "")?.[1] ?? "";
  const value = fc.oneof(
    fc.string({ maxLength: 60 }),
    fc
      .tuple(fc.nat(42), fc.string({ maxLength: 1 }))
      .map(([at, by]) => own.slice(0, at) + by + own.slice(at + 1)),
    fc.constantFrom(own, `${own}; ${browserCookie}=${own}`, `"${own}"`, `${own} `, `x; y=${own}`),
  );
  fc.assert(
    fc.property(value, (said) => {
      const asked: Fields = [["Cookie", `a=b; ${browserCookie}=${said}; c=d`]];
      const [first = "", ...rest] = said.split(";");
      const isOwn = first.trim() === own && !rest.some((each) => each.trim().startsWith(`${browserCookie}=`));
      assert.equal(isBound(asked, binding), isOwn);
      // Whatever it was, the browser gets one that is its own.
      const given = bindingFor(asked);
      const set = given.fields[0]?.[1] ?? "";
      assert.match(
        set,
        /^__Host-postern-browser=[\w-]{43}; Path=\/; Max-Age=3600; Secure; HttpOnly; SameSite=Lax$/,
      );
      assert.ok(isBound([["cookie", set.split(";")[0] ?? ""]], given.binding));
    }),
    runs,
  );
});

test("what is kept: bounded for all and for each network, good once, and not for long", () => {
  const step = fc.record({
    ip: fc.constantFrom("192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"),
    act: fc.constantFrom("put", "take", "wait"),
    pick: fc.nat(20),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const clock = new FakeClock();
      const kept = new Kept<number>({ clock, lifeMs: 100, max: 6, maxPerNetwork: 3 });
      const names: { readonly name: string; readonly atMs: number; isTaken: boolean }[] = [];
      for (const [at, { ip, act, pick }] of steps.entries()) {
        if (act === "wait") clock.advance(30);
        else if (act === "put")
          names.push({ name: kept.put(at, { ip, text: ip }), atMs: clock.monotonic(), isTaken: false });
        else {
          const known = names[pick];
          const found = kept.take(known?.name ?? "nobody");
          if (found === undefined || known === undefined) continue;
          assert.ok(!known.isTaken && clock.monotonic() - known.atMs < 100);
          known.isTaken = true;
        }
        assert.ok(kept.size <= 6);
      }
    }),
    runs,
  );
});

const path = fc.oneof(
  fc.webPath(),
  fc.constantFrom(
    "/",
    "/start",
    "/confirm",
    "/callback/",
    "/callback/idp",
    "/callback/idp/",
    "/callback/%69dp",
  ),
);
const query = fc.oneof(
  fc.webQueryParameters(),
  fc
    .array(
      fc.tuple(
        fc.constantFrom("state", "code", "iss", "error", "login", "ticket", "response"),
        fc.oneof(fc.string({ maxLength: 20 }), fc.constantFrom("STATE", "c")),
      ),
      { maxLength: 5 },
    )
    .map((pairs) => new URLSearchParams(pairs).toString()),
);
const form = fc
  .array(
    fc.tuple(
      fc.constantFrom("code", "login", "answer"),
      fc.oneof(fc.string({ maxLength: 20 }), fc.constant("yes")),
    ),
    { maxLength: 4 },
  )
  .map((pairs) => new URLSearchParams(pairs).toString());

test("whatever is asked of the pages, without the cookie nobody is let in", async () => {
  const clock = new FakeClock();
  const signIns = new SignIns(clock);
  const decided: string[] = [];
  const provider = {
    id: "p",
    title: "idp",
    wants: { scopes: [], claims: [] },
    begin: () =>
      Promise.resolve({
        address: "https://idp/",
        state: "STATE",
        finish: () => {
          decided.push("finish");
          return Promise.reject(new Error("not to be asked"));
        },
      }),
  };
  const from = { ip: "192.0.2.1", text: "192.0.2.1:1" };
  using waiting = signIns.desk("https://login.example").open({
    user: "ada",
    from,
    provider,
    sameNetwork: false,
    mayBe: () => true,
    settle: () => void decided.push("settle"),
    refuse: () => void decided.push("refuse"),
    fail: () => void decided.push("fail"),
  });
  assert.ok(waiting !== undefined);
  const found = signIns.waiting(waiting.code);
  assert.ok(found !== undefined);
  const { binding } = bindingFor([]);
  signIns.visiting.put({ visit: await provider.begin(), provider, binding, purpose: found }, from, "STATE");
  const site = new SignInSite(
    { address: "https://login.example", plain: "redirect" },
    { clock, log: silentLog, signIns },
  );
  const client = { desk: { from }, serverName: "login.example" } as unknown as WebClient;
  const cookie = fc.constantFrom("", `${browserCookie}=${"A".repeat(43)}`, `${browserCookie}=x`, "a=b");
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom("GET", "POST", "HEAD", "PUT"),
      path,
      query,
      form,
      cookie,
      async (method, where, more, body, set) => {
        let status = 0;
        const reply = {
          sink: new PassThrough().resume(),
          begun: false,
          begin: (code: number) => void (status = code),
          over: () => Promise.resolve(),
        } as unknown as Reply;
        const host = "login.example";
        const fields: Fields = set === "" ? [] : [["Cookie", set]];
        const asked = { method, path: `${where}?${more}`, host, authority: host, fields };
        await site.answer({ ...asked, body: Readable.from([Buffer.from(body)]), length: "said" }, reply, {
          client,
        } as Visitor);
        assert.ok([200, 400, 403, 404, 405, 429].includes(status), String(status));
        assert.deepEqual(decided, []);
      },
    ),
    runs,
  );
  assert.ok(signIns.visiting.find("STATE") !== undefined, "nor can it be spoilt");
});

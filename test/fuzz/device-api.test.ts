/** Whatever a program sends to the devices' API: an answer in its form, and nothing is done that was not asked for plainly. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLog } from "#base";
import fc from "fast-check";
import { ApiDesk, CountedTurns, apiSchema, apiTokenHash } from "#admin";
import { ask, startAuthority } from "#test/support/devices";

const runs = { numRuns: Number(process.env["FUZZ_RUNS"] ?? 1000) };
const token = "postern_api_0123456789abcdef";
const config = apiSchema.parse({
  host: "a.example",
  tokens: [{ name: "fuzz", hash: apiTokenHash(token), scopes: ["read", "decide", "join-tokens"] }],
  requestsPerMinute: 100_000,
});

const part = fc.oneof(
  fc.constantFrom(
    "v1",
    "devices",
    "join-tokens",
    "approve",
    "deny",
    "log",
    "kiosk1",
    "%2e%2e",
    "%zz",
    "%00",
    "__proto__",
  ),
  fc.string({ maxLength: 20 }),
);
const query = fc.oneof(
  fc.constantFrom(
    "",
    "?limit=5",
    "?after=WyIiLCIiXQ",
    "?state=pending&state=denied",
    "?__proto__=1",
    "??",
    "?limit=1e9",
  ),
  fc.string({ maxLength: 30 }).map((text) => `?${text}`),
);
const path = fc
  .tuple(fc.array(part, { maxLength: 5 }), query)
  .map(([parts, said]) => `/${parts.join("/")}${said}`);
const body = fc.oneof(
  fc.json({ maxDepth: 3 }),
  fc.string({ maxLength: 60 }),
  fc.constantFrom(
    '{"name":"kiosk9"}',
    '{"tags":["a"],"ports":[1e9]}',
    '{"constructor":{"prototype":{}}}',
    "[]",
    "null",
  ),
);
const authorization = fc.oneof(
  { weight: 5, arbitrary: fc.constant(`Bearer ${token}`) },
  { weight: 1, arbitrary: fc.option(fc.string({ maxLength: 300 }), { nil: undefined }) },
);

test("requests to the devices' API", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom("GET", "POST", "PATCH", "DELETE", "PUT", "HEAD", "BREW"),
      path,
      authorization,
      fc.option(body, { nil: undefined }),
      async (method, url, said, sent) => {
        const { clock, enrolment, office, operator } = startAuthority();
        const { code } = await ask(enrolment, "aaa");
        await office.approve(code, { name: "kiosk1" }, { by: "ada" });
        const desk = new ApiDesk(config, {
          clock,
          log: silentLog,
          office: operator,
          ports: [22],
          turns: new CountedTurns(clock),
        });
        const answer = await desk.answer({
          method,
          path: url,
          authorization: said,
          contentType: "application/json",
          hasBody: sent !== undefined,
          body: () => Promise.resolve(sent),
          from: { text: "192.0.2.1:1", ip: "192.0.2.1" },
          audit: undefined,
        });
        const read: unknown = JSON.parse(answer.text);
        assert.ok(typeof read === "object" && read !== null);
        assert.ok(answer.status < 500, answer.text);
        if (answer.status >= 400) assert.deepEqual(Object.keys(read), ["error", "code"]);
        if (!said?.endsWith(token)) assert.equal(answer.status, 401);
        // Only a plain DELETE of it makes it forgotten.
        const isThere =
          (await operator("fuzz")
            .find("kiosk1")
            .catch(() => undefined)) !== undefined;
        const names = /^\/v1\/devices\/kiosk1(?:[/?]|$)/.test(url);
        assert.ok(isThere || names, url);
      },
    ),
    runs,
  );
});

/** Answers of a webhook: read, or the webhook's fault; never anything else. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { parseAnswer } from "#auth";
import { PosternError } from "#base";
import fc from "fast-check";

const numRuns = Number(process.env["FUZZ_RUNS"] ?? 1000);

const text = fc.oneof(
  fc.string({ maxLength: 20 }),
  fc.constantFrom(
    "web1",
    "127.0.0.1",
    "[::1]:22",
    "db:5432",
    "*:*",
    'a:1",command="x',
    "key",
    "__proto__",
    "\u0000",
  ),
);
const scalar = fc.oneof(text, fc.boolean(), fc.integer({ min: -2, max: 70_000 }), fc.constant(null));
const field = fc.constantFrom(
  "allow",
  "subject",
  "message",
  "upstream",
  "host",
  "port",
  "user",
  "credentials",
  "limits",
  "seconds",
  "pty",
  "permitOpen",
  "permitListen",
  "command",
  "environment",
  "reason",
);
const inner = fc.dictionary(
  field,
  fc.oneof(scalar, fc.array(scalar, { maxLength: 3 }), fc.dictionary(text, scalar)),
);
const answer = fc
  .record({
    allow: fc.oneof({ weight: 9, arbitrary: fc.boolean() }, { weight: 1, arbitrary: scalar }),
    more: fc.dictionary(field, fc.oneof(scalar, fc.array(text, { maxLength: 3 }), inner)),
  })
  .map(({ allow, more }) => Buffer.from(JSON.stringify({ ...more, allow })));
const bytes = fc.oneof(
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 100 }) },
  { weight: 1, arbitrary: fc.json().map((json) => Buffer.from(json)) },
  { weight: 6, arbitrary: answer },
);

test("an answer is read, or is the webhook's fault", () => {
  let read = 0;
  fc.assert(
    fc.property(bytes, (given) => {
      try {
        const found = parseAnswer(given);
        assert.equal(found.allow, (JSON.parse(Buffer.from(given).toString()) as { allow: boolean }).allow);
        read += 1;
      } catch (error) {
        assert.ok(error instanceof PosternError && error.code === "UPSTREAM_WEBHOOK_FAILED", String(error));
      }
    }),
    { numRuns },
  );
  assert.ok(read > 0);
});

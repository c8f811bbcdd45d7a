import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { PosternError } from "#base";
import { Ledger, maxUnansweredRequests } from "#pipe";

const code = (expected: string) => (error: unknown) =>
  error instanceof PosternError && error.code === expected;

test("answers go out in the order of the requests, whoever answers first", () => {
  fc.assert(
    fc.property(fc.shuffledSubarray([0, 1, 2, 3, 4, 5, 6, 7], { minLength: 8 }), (order) => {
      const sent: number[] = [];
      const ledger = new Ledger((answer) => sent.push(answer[0] ?? -1));
      const owed = [0, 1, 2, 3, 4, 5, 6, 7].map(() => ledger.owe());
      for (const n of order) {
        const entry = owed[n];
        assert.ok(entry);
        ledger.settle(entry, Uint8Array.of(n));
        // Everything before the first unanswered request is out, and nothing after it.
        let expected = 0;
        while (owed[expected]?.answer !== undefined) expected++;
        assert.deepEqual(sent, [0, 1, 2, 3, 4, 5, 6, 7].slice(0, expected));
      }
      assert.equal(sent.length, 8);
    }),
  );
});

test("an answer belongs to whoever asked: the other side, or us", () => {
  const ledger = new Ledger(() => {});
  const behalf = new Ledger(() => {}).owe();
  ledger.ask(behalf);
  ledger.ask(undefined);
  assert.equal(ledger.answered(), behalf);
  assert.equal(ledger.answered(), undefined);
  assert.throws(() => ledger.answered(), code("PEER_UNASKED_ANSWER"));
});

test("requests that wait for an answer are bounded", () => {
  const ledger = new Ledger(() => {});
  for (let n = 0; n < maxUnansweredRequests; n++) ledger.owe();
  assert.throws(() => ledger.owe(), code("PEER_TOO_MANY_REQUESTS"));
});

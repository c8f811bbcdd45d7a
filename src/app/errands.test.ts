import assert from "node:assert/strict";
import { test } from "node:test";
import { Errands } from "./errands.ts";
import type { FromWorker } from "./worker-messages.ts";

test("each errand has its own outcome, in whatever order they come; without a supervisor there is none", async () => {
  const said: FromWorker[] = [];
  const errands = new Errands(2, (message) => void said.push(message));
  const proof = errands.proof("a.example");
  const turn = errands.turns.take("console", 60);
  const left = errands.ticket("1.x", 1);
  assert.deepEqual(
    said.map((each) => (each.kind === "errand" ? [each.question, each.errand.kind] : [])),
    [
      [1, "certificate-proof"],
      [2, "api-turn"],
      [3, "sign-in-ticket"],
    ],
  );
  errands.done(2, 0);
  errands.done(1, { certificate: "c", key: "k" });
  assert.equal(await turn, 0);
  assert.deepEqual(await proof, { certificate: "c", key: "k" });
  errands.orphaned();
  assert.equal(await left, undefined);
  assert.equal(await errands.kept("a.example"), undefined);
  assert.ok((await errands.turns.take("console", 60)) > 0, "nobody counts, so nobody has a turn");
  assert.equal(said.length, 3);
});

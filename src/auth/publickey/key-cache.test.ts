import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLog } from "#base";
import { type AuthorizedKey, formatPublicKey, generatePrivateKey, parseAuthorizedKeys } from "#ssh/keys";
import { FakeClock } from "#test/support/fake-clock";
import { publicKeyErrors } from "./errors.ts";
import { KeyCache } from "./key-cache.ts";

const line = formatPublicKey(generatePrivateKey("ssh-ed25519").blob, "one");
const keys: readonly AuthorizedKey[] = parseAuthorizedKeys(line, "test");
const down = async (): Promise<never> => {
  throw new publicKeyErrors.UPSTREAM_KEY_SOURCE_FAILED("down");
};

function make(freshMs = 60_000, staleMs = 600_000) {
  const clock = new FakeClock();
  const asked: string[] = [];
  const cache = new KeyCache({ freshMs, staleMs, clock, log: silentLog });
  const ask = async (question: string, answer: () => Promise<readonly AuthorizedKey[]> = async () => keys) =>
    await cache.of(question, async () => {
      asked.push(question);
      return await answer();
    });
  return { clock, asked, cache, ask };
}

test("an answer holds for its time, and each question has its own", async () => {
  const { clock, asked, ask } = make();
  assert.equal(await ask("a"), keys);
  clock.advance(59_999);
  assert.equal(await ask("a"), keys);
  assert.deepEqual(await ask("b", async () => []), []);
  assert.deepEqual(await ask("b"), []);
  assert.deepEqual(asked, ["a", "b"]);
  clock.advance(1);
  await ask("a");
  assert.deepEqual(asked, ["a", "b", "a"]);
});

test("a source that is down: the last answer for the stated time, then none; asked again every five seconds", async () => {
  const { clock, asked, ask } = make();
  await ask("a");
  clock.advance(60_000);
  assert.equal(await ask("a", down), keys);
  clock.advance(4999);
  assert.equal(await ask("a", down), keys);
  assert.equal(asked.length, 2, "left alone");
  clock.advance(1);
  assert.equal(await ask("a", down), keys);
  assert.equal(asked.length, 3);
  clock.advance(595_000);
  assert.deepEqual(await ask("a", down), [], "660 seconds after the answer");
  assert.deepEqual(await ask("never", down), []);
  clock.advance(5000);
  assert.equal(await ask("a"), keys, "up again");
});

test("keys that were taken away are gone with the next answer, also when the source fails then", async () => {
  const { clock, ask } = make();
  await ask("a");
  clock.advance(60_000);
  assert.deepEqual(await ask("a", async () => []), []);
  clock.advance(60_000);
  assert.deepEqual(await ask("a", down), []);
});

test("one question is under way once", async () => {
  const { asked, ask } = make();
  const answer = Promise.withResolvers<readonly AuthorizedKey[]>();
  const both = [ask("a", () => answer.promise), ask("a")];
  answer.resolve(keys);
  assert.deepEqual(await Promise.all(both), [keys, keys]);
  assert.deepEqual(asked, ["a"]);
});

test("names that are made up push out nobody's keys", async () => {
  const { asked, ask } = make();
  await ask("ada");
  for (let at = 0; at < 3000; at++) await ask(`stranger${at}`, async () => []);
  asked.length = 0;
  assert.equal(await ask("ada"), keys);
  assert.deepEqual(asked, []);
  await ask("stranger0", async () => []);
  assert.deepEqual(asked, ["stranger0"], "the oldest of those is forgotten");
});

test("refusals take as long as the last answer did, within reason; other errors pass through", async () => {
  const { clock, cache, ask } = make();
  assert.equal(cache.paceMs, 0);
  await ask("a", async () => {
    clock.advance(40);
    return keys;
  });
  assert.equal(cache.paceMs, 40);
  await ask("b", async () => {
    clock.advance(60_000);
    return keys;
  });
  assert.equal(cache.paceMs, 2000);
  await assert.rejects(
    ask("c", async () => {
      throw new TypeError("broken");
    }),
    TypeError,
  );
});

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { PathLocks } from "./locks.ts";

test("many look at once, one changes alone, in turn", () => {
  const locks = new PathLocks();
  const order: string[] = [];
  const take = (name: string, alone: boolean, root = "/srv"): (() => void) =>
    locks.acquire("host", root, alone, () => order.push(name));
  const a = take("a", false);
  const b = take("b", false);
  const change = take("change", true);
  const late = take("late", false);
  take("elsewhere", true, "/other");
  assert.deepEqual(order, ["a", "b", "elsewhere"]);
  a();
  assert.deepEqual(order, ["a", "b", "elsewhere"]);
  b();
  assert.deepEqual(order.slice(3), ["change"]);
  change();
  change();
  assert.deepEqual(order.slice(3), ["change", "late"]);
  late();
});

test("a folder and one in it are one tree, names that begin alike are not", () => {
  const locks = new PathLocks();
  const order: string[] = [];
  const outer = locks.acquire("host", "/srv", true, () => order.push("outer"));
  locks.acquire("host", "/srv/in", false, () => order.push("inner"));
  locks.acquire("host", "/", false, () => order.push("all"));
  locks.acquire("host", "/srv2", true, () => order.push("beside"));
  locks.acquire("other", "/srv", true, () => order.push("other host"));
  assert.deepEqual(order, ["outer", "other host"]);
  outer();
  assert.ok(order.includes("inner"));
});

test("whoever watches a tree is told before and after somebody is alone in it", () => {
  const locks = new PathLocks();
  const order: string[] = [];
  const ends = ["/srv/in", "/srv2"].map((root) => locks.watch("host", root, () => order.push(root)));
  const look = locks.acquire("host", "/srv", false, () => order.push("looks"));
  const change = locks.acquire("host", "/srv", true, () => order.push("changes"));
  const never = locks.acquire("host", "/srv", true, () => order.push("never"));
  look();
  assert.deepEqual(order.splice(0), ["looks", "/srv/in", "changes"]);
  never();
  assert.equal(order.length, 0, "who gave up has changed nothing");
  change();
  assert.deepEqual(order.splice(0), ["/srv/in"]);
  for (const end of ends) end();
  locks.acquire("host", "/", true, () => order.push("changes"))();
  assert.deepEqual(order, ["changes"]);
});

test("who gives up waiting is passed over", () => {
  const locks = new PathLocks();
  const order: number[] = [];
  const first = locks.acquire("host", "/", true, () => order.push(1));
  const second = locks.acquire("host", "/", true, () => order.push(2));
  locks.acquire("host", "/", true, () => order.push(3));
  second();
  first();
  assert.deepEqual(order, [1, 3]);
});

test("never two that must not be together, and nobody waits for ever", () => {
  const step = fc.record({
    alone: fc.boolean(),
    root: fc.constantFrom("/", "/a", "/a/b", "/c"),
    release: fc.nat(9),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const locks = new PathLocks();
      const held = new Set<{ root: string; alone: boolean }>();
      const releases: (() => void)[] = [];
      let granted = 0;
      for (const { alone, root, release } of steps) {
        const mine = { alone, root: root === "/" ? "/" : `${root}/` };
        const free = locks.acquire("host", root, alone, () => {
          for (const other of held) {
            const nested = other.root.startsWith(mine.root) || mine.root.startsWith(other.root);
            assert.ok(!(nested && (other.alone || alone)));
          }
          held.add(mine);
          granted++;
        });
        releases.push(() => {
          held.delete(mine);
          free();
        });
        if (release < 5) releases.splice(release, 1)[0]?.();
      }
      const left = releases.length;
      for (const release of releases) release();
      assert.ok(granted >= left - steps.length);
      assert.equal(held.size, 0);
    }),
  );
});

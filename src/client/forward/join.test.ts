import assert from "node:assert/strict";
import { Duplex } from "node:stream";
import { test } from "node:test";
import { join } from "./join.ts";

/** One end of a pair, with every write counted; `hold` keeps what is written from being taken. */
class End extends Duplex {
  readonly written: Buffer[] = [];
  hold = false;
  #release: (() => void) | undefined;

  constructor() {
    super({ allowHalfOpen: true, highWaterMark: 1 });
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.written.push(Buffer.from(chunk));
    if (this.hold) this.#release = done;
    else done();
  }

  release(): void {
    this.hold = false;
    this.#release?.();
  }
}

function text(end: End): string {
  return Buffer.concat(end.written).toString();
}

async function turn(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

test("what comes in one turn is written as one, in order", async () => {
  const [one, other] = [new End(), new End()];
  const joined = join(one, other);
  await turn();
  for (const piece of ["a", "bc", "d"]) one.push(piece);
  await turn();
  assert.deepEqual(other.written.map(String), ["abcd"]);
  one.push(null);
  other.push("back");
  await turn();
  assert.equal(text(one), "back");
  other.push(null);
  assert.deepEqual(await joined, { bytesOut: 4, bytesIn: 4 });
});

test("what was written is not touched until it is taken, and no more is read meanwhile", async () => {
  const [one, other] = [new End(), new End()];
  const joined = join(one, other);
  await turn();
  other.hold = true;
  const lent = Buffer.alloc(100_000, "x");
  one.push(lent);
  await turn();
  assert.equal(one.isPaused(), true);
  one.push(Buffer.alloc(100_000, "y"));
  await turn();
  assert.equal(other.written.length, 1);
  other.release();
  await turn();
  assert.equal(text(other), `${"x".repeat(100_000)}${"y".repeat(100_000)}`);
  one.push(null);
  other.push(null);
  await joined;
});

test("more than one buffer holds leaves in order, and the end after it", async () => {
  const [one, other] = [new End(), new End()];
  const joined = join(one, other);
  await turn();
  for (let n = 0; n < 5; n++) one.push(Buffer.alloc(700_000, String(n)));
  one.push(null);
  other.push(null);
  const { bytesOut } = await joined;
  assert.equal(bytesOut, 3_500_000);
  assert.equal(text(other), [0, 1, 2, 3, 4].map((n) => String(n).repeat(700_000)).join(""));
});

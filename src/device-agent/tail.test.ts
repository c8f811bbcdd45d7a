import assert from "node:assert/strict";
import { test } from "node:test";
import { Tail } from "./tail.ts";

test("the last bytes, however they are cut", () => {
  const text = "0123456789abcdef";
  for (let max = 1; max <= 20; max++) {
    for (let width = 1; width <= 16; width++) {
      const tail = new Tail(max);
      for (let at = 0; at < text.length; at += width) tail.add(Buffer.from(text.slice(at, at + width)));
      assert.equal(tail.text, text.slice(-max), `${max} of pieces of ${width}`);
      assert.equal(tail.truncated, max < text.length);
    }
  }
});

/** What we tell of a client in the PROXY protocol is what our own entry reads from it. */
import { normalAddress } from "#base";
import { encodeProxyHeader } from "#reach";
import fc from "fast-check";
import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeProxyHeader } from "../../src/entry/proxy-protocol/header.ts";

interface End {
  readonly ip: string;
  readonly port: number;
}

const runs = { numRuns: Number(process.env["FUZZ_RUNS"] ?? 2000) };
const end = fc.record({ ip: fc.oneof(fc.ipV4(), fc.ipV6()), port: fc.integer({ min: 0, max: 65_535 }) });

test("both versions come back as they were", () => {
  fc.assert(
    fc.property(end, end, fc.constantFrom<1 | 2>(1, 2), (from, to, version) => {
      const bytes = encodeProxyHeader(version, { from: { ...from, text: "" }, to });
      const header = decodeProxyHeader(bytes);
      assert.equal(header?.length, bytes.length);
      const same = (one: End | undefined, other: End): void => {
        assert.deepEqual(one, { ip: normalAddress(other.ip), port: other.port });
      };
      same(header?.source, from);
      same(header?.destination, to);
    }),
    runs,
  );
});

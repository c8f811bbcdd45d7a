/** Many connections through one `postern forward`: memory stays flat. POSTERN_SOAK says how many (2,000 without it). */
import assert from "node:assert/strict";
import { test } from "node:test";
import { startClientLab } from "#test/support/client-lab";
import { answerAfterEnd, askAndEnd, startListener } from "#test/support/echo-server";
import { residentBytes } from "#test/support/processes";
import { missing } from "#test/support/strangers";

const total = Number(process.env["POSTERN_SOAK"] ?? 2_000);
const atOnce = 40;
/** With room to spare, a collector lets garbage lie: without, what grows is kept by somebody. */
const env = { NODE_OPTIONS: "--max-old-space-size=64 --max-semi-space-size=2" };
const roomBytes = 30 * 1024 * 1024;

test(`${total} connections, ${atOnce} at a time, and the memory of before`, {
  skip: missing("ssh", "sshd"),
}, async (t) => {
  await using lab = await startClientLab({ config: ["MaxSessions 500"] });
  await using target = await startListener(answerAfterEnd);
  await using told = lab.forward(["--json", "-L", `0:127.0.0.1:${target.port}`], { env });
  const [, text = ""] = await told.waitForStdout(/"listen":"127\.0\.0\.1:(\d+)"/);
  const port = Number(text);
  const data = Buffer.alloc(20_000, 7);
  const wanted = await askAndEnd({ port }, data);
  const run = async (count: number): Promise<void> => {
    let left = count;
    const worker = async (): Promise<void> => {
      while (left-- > 0) assert.equal(await askAndEnd({ port }, data), wanted);
    };
    await Promise.all(Array.from({ length: atOnce }, worker));
  };
  // Warm: compiled code and pools are no leak.
  await run(Math.ceil(total / 4));
  const before = await residentBytes(told.pid);
  await run(total);
  const grown = (await residentBytes(told.pid)) - before;
  t.diagnostic(`${Math.round(before / 1e6)} MB before, ${Math.round(grown / 1e6)} MB more after`);
  assert.ok(grown < roomBytes, `${grown} bytes more after ${total} connections`);
  const closed = total + Math.ceil(total / 4) + 1;
  await told.waitFor(
    "all to be closed",
    () => told.stdout.toString().split('"event":"closed"').length - 1 === closed,
  );
  assert.doesNotMatch(told.stdout.toString(), /"event":"(?:refused|lost)"/);
});

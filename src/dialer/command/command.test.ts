import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { test } from "node:test";
import { parseTemplate } from "#base";
import type { Dialer } from "#contract";
import { hopStand } from "#test/support/hop-stand";
import { until } from "#test/support/waiting";
import { command, wordsFor } from "./command.ts";

const options = { timeoutMs: 5000, signal: new AbortController().signal };
const target = { host: "web1.lan", port: 22 };

async function running(...words: string[]): Promise<Dialer> {
  return await command.create({ kind: "command", command: words.map(parseTemplate) }, hopStand().ports);
}

test("its input and output are the stream, and each direction ends by itself", async () => {
  await using dialer = await running("/bin/sh", "-c", "cat; echo and $0 $1", "{host}", "{port}");
  const stream = await dialer.dial(target, options);
  stream.end("hello\n");
  assert.equal(Buffer.concat(await stream.toArray()).toString(), "hello\nand web1.lan 22\n");
});

test("bulk passes at the reader's pace", async () => {
  await using dialer = await running("/bin/cat");
  const stream = await dialer.dial(target, options);
  const sent = Buffer.alloc(3_000_000, 7);
  stream.end(sent);
  assert.ok(Buffer.concat(await stream.toArray()).equals(sent));
});

test("it and what it has started end with the stream", async () => {
  await using dialer = await running(
    "/bin/sh",
    "-c",
    "trap '' TERM; sleep 1000 & echo $! $$; read line; wait",
  );
  const stream = await dialer.dial(target, options);
  const [first, second] = (await once(stream, "data")).toString().trim().split(" ").map(Number);
  stream.destroy();
  for (const pid of [first, second]) await until("the end", () => !existsSync(`/proc/${pid}`));
});

test("a program that is not there is the upstream's failure; one that ends early ends the stream", async () => {
  await using none = await running("/nowhere/nc");
  await assert.rejects(none.dial(target, options), { code: "UPSTREAM_UNREACHABLE", message: /ENOENT/ });
  await using early = await running("/bin/false");
  const stream = await early.dial(target, options);
  assert.deepEqual(await stream.toArray(), []);
});

test("nothing of our environment is in it", async () => {
  process.env["POSTERN_TEST_SECRET"] = "hush";
  await using dialer = await running("/usr/bin/env");
  const stream = await dialer.dial(target, options);
  const text = Buffer.concat(await stream.toArray()).toString();
  assert.match(text, /^PATH=/m);
  assert.doesNotMatch(text, /hush|HOME/);
});

test("only a host and a port are ever put into its words", () => {
  const words = ["/usr/bin/nc", "-X", "{host}:{port}"].map(parseTemplate);
  assert.deepEqual(wordsFor(words, { host: "2001:db8::1", port: 22 }), [
    "/usr/bin/nc",
    "-X",
    "2001:db8::1:22",
  ]);
  for (const host of [
    "-oProxyCommand=x",
    "a b",
    "a;b",
    "$(x)",
    "a\nb",
    "",
    "fe80::1%$(x)",
    "a/b",
    "@a",
    "{host}",
  ])
    assert.throws(() => wordsFor(words, { host, port: 22 }), { code: "UPSTREAM_UNREACHABLE" }, host);
});

test("the program is fixed, and only what there is can be filled in", () => {
  const wrong = [["nc", "{host}"], ["{host}"], ["/usr/bin/{host}"], ["/usr/bin/nc", "{user}"], []];
  for (const words of wrong)
    assert.ok(!command.schema.safeParse({ kind: "command", command: words }).success, words.join(" "));
  assert.ok(
    command.schema.safeParse({ kind: "command", command: ["/usr/bin/nc", "{host}", "{port}"] }).success,
  );
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { FX } from "#ssh/sftp";
import { open, plainAnswer, rooted, settled, SftpEnds, status, watched } from "#test/support/sftp-ends";
import { PathLocks } from "./locks.ts";
import { maxOpenHandles } from "./open-files.ts";
import { afterlifeMs } from "./session.ts";

test("open files are bounded", async () => {
  const ends = await SftpEnds.greeted(rooted);
  ends.answer = (request) =>
    request.kind === "open"
      ? { kind: "handle", id: request.id, handle: `h${request.id}` }
      : plainAnswer(request);
  for (let id = 1; id <= maxOpenHandles + 5; id++) {
    ends.ask(open(id, "/file"));
    if (id % 500 === 0) await settled();
  }
  await settled();
  assert.equal(ends.toClient.length, maxOpenHandles + 5);
  assert.equal(ends.toClient.filter(({ kind }) => kind === "handle").length, maxOpenHandles);
  ends.session.close();
});

test("handles of 256 bytes pass, longer ones end the channel", async () => {
  for (const [length, fails] of [
    [256, false],
    [257, true],
  ] as const) {
    const ends = await SftpEnds.greeted(rooted);
    const handle = "\xff".repeat(length);
    ends.ask(open(1, "/d/file"));
    await settled();
    ends.reply({ kind: "handle", id: 1, handle });
    await settled();
    ends.ask({ kind: "write", id: 2, handle, offset: 0n, length: 1 }, Buffer.from("x"));
    assert.equal(ends.failure?.by, fails ? "client" : undefined);
    if (!fails)
      assert.deepEqual(ends.toUpstream.at(-1), { kind: "write", id: 2, handle, offset: 0n, length: 1 });
  }
});

test("requests that nobody answers are bounded: the rest is not read", async () => {
  const ends = await SftpEnds.greeted(watched);
  for (let id = 1; id <= 5000; id++) ends.ask({ kind: "limits", id });
  await settled();
  assert.equal(ends.toUpstream.length, 1024);
  ends.reply({ kind: "extended", id: 1, data: new Uint8Array(0) });
  await settled();
  assert.equal(ends.toUpstream.length, 1025);
});

test("a channel that ends lets others go on, once what it asked last is sure to be done", async () => {
  for (const path of ["/file", "/n"]) {
    const locks = new PathLocks();
    const one = await SftpEnds.greeted(rooted, locks);
    const other = await SftpEnds.greeted(rooted, locks);
    const renamed = (): boolean => other.toUpstream.some(({ kind }) => kind === "rename");
    // With the host: the looks at one, the request itself of the other.
    if (path === "/n") one.answer = () => undefined;
    one.ask({ kind: "remove", id: 1, path });
    await settled();
    other.ask({ kind: "rename", id: 1, from: "/file", to: "/n" });
    await settled();
    assert.ok(!renamed());
    one.session.close();
    await settled();
    assert.ok(!renamed());
    one.clock.advance(afterlifeMs);
    await settled();
    assert.ok(renamed());
  }
});

test("a channel that waits for others and ends is in nobody's way", async () => {
  const locks = new PathLocks();
  const [first, gone, last] = [
    await SftpEnds.greeted(rooted, locks),
    await SftpEnds.greeted(rooted, locks),
    await SftpEnds.greeted(rooted, locks),
  ];
  first.ask({ kind: "remove", id: 1, path: "/file" });
  await settled();
  gone.ask({ kind: "rename", id: 1, from: "/file", to: "/n" });
  last.ask({ kind: "remove", id: 1, path: "/file" });
  await settled();
  assert.ok(!last.toUpstream.some(({ kind }) => kind === "remove"));
  gone.session.close();
  await settled();
  assert.ok(last.toUpstream.some(({ kind }) => kind === "remove"));
});

test("a hundred thousand open files pass where nothing confines; what is kept of them is bounded", async () => {
  const ends = await SftpEnds.greeted(watched);
  const count = 100_000;
  for (let id = 1; id <= count; id++) {
    ends.ask(open(id, `/f${id}`));
    ends.reply({ kind: "handle", id, handle: `h${id}` });
    // A host that answers and forgets: nothing of it is left here.
    if (id % 1000 === 0) {
      await settled();
      ends.toUpstream.length = 0;
      ends.toClient.length = 0;
      ends.bytes.upstream.length = 0;
      ends.bytes.client.length = 0;
    }
  }
  assert.equal(ends.failure, undefined);
  for (const id of [1, count]) {
    ends.ask({ kind: "close", id: count + id, handle: `h${id}` });
    ends.reply(status(count + id, FX.OK));
  }
  await settled();
  assert.equal(ends.toClient.length, 2);
  const before = ends.events.filter(({ event }) => event === "file-close").length;
  assert.equal(before, 1, "the first was kept, the last was not");
  ends.session.close();
  const cut = ends.events.filter(({ event }) => event === "file-close").length - before;
  assert.equal(cut, maxOpenHandles - 1);
});

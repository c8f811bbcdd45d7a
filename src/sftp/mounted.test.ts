import assert from "node:assert/strict";
import { test } from "node:test";
import { PosternError } from "#base";
import {
  encodeSftpHello,
  encodeSftpReply,
  encodeSftpRequest,
  FX,
  FXF,
  FXP,
  type SftpReply,
  type SftpRequest,
} from "#ssh/sftp";
import { planOf } from "#test/support/confined";
import { MountedEnds, type MountedHost } from "#test/support/mounted-ends";
import { plainAnswer, settled } from "#test/support/sftp-ends";
import { maxMountHeldBytes, maxMountRequests, mountRestMs } from "./mounted.ts";

/** Opens whatever is asked for, by the name of the path. */
function opening(request: SftpRequest): SftpReply | undefined {
  const { id } = request;
  if (request.kind === "open") return { kind: "handle", id, handle: "0" };
  if (request.kind === "read") return { kind: "status", id, code: FX.EOF, message: "" };
  if (request.kind === "write" || request.kind === "close")
    return { kind: "status", id, code: FX.OK, message: "" };
  return plainAnswer(request);
}

const refusedWith = (reply: SftpReply | undefined, code: number, text: RegExp): void => {
  assert.ok(reply?.kind === "status");
  assert.equal(reply.code, code);
  assert.match(reply.message, text);
};

test("the same handle of two hosts is two handles, and each leads to its own", async () => {
  const ends = new MountedEnds();
  ends.prepare = (host) => {
    host.answer = opening;
  };
  const first = await ends.open(1, "/a/file");
  const second = await ends.open(2, "/b/file");
  assert.notEqual(first, second);
  const [a, b] = ends.hosts;
  ends.ask({ kind: "read", id: 3, handle: second, offset: 5n, length: 10 });
  await ends.answer(3);
  assert.deepEqual(
    [a, b].map((host) => host?.asked.filter(({ kind }) => kind === "read").length),
    [0, 1],
  );
  for (const [id, handle] of [first.replace("m", ""), "0", "m99", ""].entries()) {
    ends.ask({ kind: "close", id: 10 + id, handle });
    refusedWith(await ends.answer(10 + id), FX.FAILURE, /Failure/);
  }
  ends.ask({ kind: "close", id: 20, handle: first });
  refusedWith(await ends.answer(20), FX.OK, /Success/);
  ends.ask({ kind: "read", id: 21, handle: first, offset: 0n, length: 1 });
  refusedWith(await ends.answer(21), FX.FAILURE, /Failure/);
});

test("a host that is reached late is asked in order; the other has answered long since", async () => {
  const ends = new MountedEnds();
  ends.prepare = (host) => {
    host.answer = opening;
    if (ends.hosts.length === 0) host.answer = () => undefined;
  };
  ends.ask({ kind: "stat", id: 1, path: "/a/x" });
  ends.ask({ kind: "stat", id: 2, path: "/b/x" });
  assert.equal((await ends.answer(2))?.kind, "attrs");
  assert.equal(await ends.answer(1), undefined);
  const [slow] = ends.hosts;
  assert.ok(slow);
  slow.answer = opening;
  for (const request of slow.asked.splice(0)) {
    const reply = opening(request);
    if (reply !== undefined) slow.reply(reply);
  }
  assert.equal((await ends.answer(1))?.kind, "attrs");
});

test("an answer with data that stops in the middle holds up nobody else, and is never half told", async () => {
  const ends = new MountedEnds();
  ends.prepare = (host) => {
    host.answer = (request) => (request.kind === "read" ? undefined : opening(request));
  };
  const [first, second] = [await ends.open(1, "/a/f"), await ends.open(2, "/b/f")];
  ends.ask({ kind: "read", id: 3, handle: first, offset: 0n, length: 100 });
  ends.ask({ kind: "read", id: 4, handle: second, offset: 0n, length: 100 });
  await settled();
  const [a, b] = ends.hosts;
  const idOf = (host: MountedHost | undefined): number =>
    host?.asked.find(({ kind }) => kind === "read")?.id ?? -1;
  a?.reply({ kind: "data", id: idOf(a), length: 100 }, Buffer.alloc(40));
  b?.reply({ kind: "data", id: idOf(b), length: 100 }, Buffer.alloc(100));
  assert.equal((await ends.answer(4))?.kind, "data");
  assert.equal(await ends.answer(3), undefined);
  a?.end.ended(new PosternError("UPSTREAM_TEST", { user: "It is gone.", operator: "gone" }));
  refusedWith(await ends.answer(3), FX.FAILURE, /^\/a: It is gone\.$/);
  assert.deepEqual(ends.told, ["/a: It is gone."]);
  const broken = ends.events.find(({ event }) => event === "sftp-broken");
  assert.ok(broken?.event === "sftp-broken");
  assert.equal(broken.reason, "/a: UPSTREAM_TEST: gone");
  ends.ask({ kind: "read", id: 5, handle: first, offset: 0n, length: 100 });
  refusedWith(await ends.answer(5), FX.FAILURE, /^\/a: the connection to its host was lost/);
});

test("a host that fails is not tried again at once, and then is", async () => {
  const ends = new MountedEnds();
  ends.down = new PosternError("UPSTREAM_TEST", { user: "It is down.", operator: "down" });
  for (const id of [1, 2, 3]) {
    ends.ask({ kind: "opendir", id, path: "/a/x" });
    refusedWith(await ends.answer(id), FX.FAILURE, /^\/a: It is down\.$/);
  }
  assert.deepEqual(ends.told, ["/a: It is down."]);
  ends.down = undefined;
  ends.ask({ kind: "stat", id: 4, path: "/a/x" });
  refusedWith(await ends.answer(4), FX.FAILURE, /It is down/);
  ends.clock.advance(mountRestMs);
  ends.ask({ kind: "stat", id: 5, path: "/a/x" });
  assert.equal((await ends.answer(5))?.kind, "attrs");
});

test("what a host does not offer is not asked of it; posix-rename is a plain one there", async () => {
  const ends = new MountedEnds();
  ends.prepare = (host) => {
    host.answer = (request) =>
      request.kind === "rename"
        ? { kind: "status", id: request.id, code: FX.OK, message: "" }
        : plainAnswer(request);
  };
  ends.ask({ kind: "posix-rename", id: 1, from: "/a/x", to: "/a/y" });
  ends.ask({ kind: "hardlink", id: 2, from: "/a/x", to: "/a/y" });
  ends.ask({ kind: "statvfs", id: 3, path: "/a/x" });
  refusedWith(await ends.answer(1), FX.OK, /Success/);
  for (const id of [2, 3]) refusedWith(await ends.answer(id), FX.OP_UNSUPPORTED, /unsupported/);
});

test("requests are read no further when too many are under way, and go on when some are answered", async () => {
  const ends = new MountedEnds();
  ends.prepare = (host) => {
    host.answer = () => undefined;
  };
  const all = Array.from({ length: maxMountRequests + 50 }, (_, id) =>
    encodeSftpRequest({ kind: "stat", id, path: `/a/${id}` }),
  );
  ends.client.fromClient(Buffer.concat(all));
  await settled();
  assert.equal(ends.client.full, true);
  // One that came later is not answered before: it has not been read.
  ends.ask({ kind: "stat", id: 9999, path: "/" });
  assert.equal(await ends.answer(9999), undefined);
  const [host] = ends.hosts;
  host?.end.ended(new PosternError("UPSTREAM_TEST", { user: "It is gone.", operator: "gone" }));
  assert.equal((await ends.answer(9999))?.kind, "attrs");
  assert.equal(ends.replies.length, maxMountRequests + 51);
  assert.equal(ends.client.full, false);
});

test("nor when a host takes nothing, or the client does not", async () => {
  const ends = new MountedEnds();
  ends.prepare = (host) => {
    host.answer = opening;
  };
  const handle = await ends.open(1, "/a/file", FXF.WRITE | FXF.CREAT);
  const [host] = ends.hosts;
  assert.ok(host);
  host.queuedBytes = maxMountHeldBytes;
  ends.ask({ kind: "write", id: 2, handle, offset: 0n, length: 3 }, Buffer.from("abc"));
  assert.equal(ends.client.full, true);
  host.queuedBytes = 0;
  host.end.drained();
  await settled();
  assert.equal(ends.client.full, false);
  ends.untaken = 4 * 1024 * 1024;
  ends.ask({ kind: "read", id: 3, handle, offset: 0n, length: 3 });
  assert.equal(ends.client.full, true);
  ends.untaken = 0;
  ends.client.drained();
  await settled();
  assert.equal(ends.client.full, false);
});

test("a client that does not keep to the protocol is ended; what cannot be read is answered", async () => {
  for (const bytes of [
    encodeSftpHello(FXP.INIT),
    Buffer.of(0, 0, 0, 2, 5, 5),
    Buffer.of(0x7f, 0xff, 0xff, 0xff, 5),
    Buffer.of(0, 0, 0, 13, FXP.WRITE, 0, 0, 0, 1, 0, 0, 1, 1, 0, 0, 0, 0),
  ]) {
    const ends = new MountedEnds();
    ends.client.fromClient(bytes);
    assert.equal(ends.failure?.blame, "PEER");
  }
  const twice = new MountedEnds();
  twice.prepare = (host) => {
    host.answer = () => undefined;
  };
  twice.ask({ kind: "stat", id: 1, path: "/a/x" });
  twice.ask({ kind: "stat", id: 1, path: "/a/y" });
  assert.equal(twice.failure?.code, "PEER_SFTP_ORDER");
  const odd = new MountedEnds();
  odd.client.fromClient(Buffer.of(0, 0, 0, 6, FXP.OPENDIR, 0, 0, 0, 7, 1));
  refusedWith(await odd.answer(7), FX.BAD_MESSAGE, /Bad message/);
  for (const [id, path] of [`/a/${"x".repeat(5000)}`, "/a/\0", "x".repeat(5000)].entries()) {
    odd.ask({ kind: "stat", id: 10 + id, path });
    refusedWith(await odd.answer(10 + id), FX.PERMISSION_DENIED, /path cannot/);
  }
  odd.ask({ kind: "stat", id: 20, path: `/a${"/x/../../a".repeat(60)}` });
  refusedWith(await odd.answer(20), FX.PERMISSION_DENIED, /to and fro/);
  assert.equal(odd.failure, undefined);
});

test("a host that answers nothing that was asked, or more than it may, is given up alone", async () => {
  for (const bytes of [
    encodeSftpReply({ kind: "status", id: 77, code: 0, message: "" }),
    Buffer.of(0x7f, 0xff, 0xff, 0xff, 103),
    encodeSftpHello(FXP.VERSION),
  ]) {
    const ends = new MountedEnds();
    ends.ask({ kind: "stat", id: 1, path: "/a/x" });
    ends.ask({ kind: "stat", id: 2, path: "/b/x" });
    assert.equal((await ends.answer(2))?.kind, "attrs");
    ends.hosts[0]?.end.received(bytes);
    assert.equal(ends.hosts[0]?.closed, true);
    assert.match(ends.told[0] ?? "", /^\/a: /);
    ends.ask({ kind: "stat", id: 3, path: "/b/x" });
    assert.equal((await ends.answer(3))?.kind, "attrs");
    assert.equal(ends.failure, undefined);
  }
});

test("the record has the whole path, the host's, and which host it was", async () => {
  const ends = new MountedEnds(planOf({ record: true }));
  ends.prepare = (host) => {
    host.answer = opening;
  };
  const handle = await ends.open(1, "b/file", FXF.READ);
  ends.ask({ kind: "close", id: 2, handle });
  await ends.answer(2);
  ends.ask({ kind: "rename", id: 3, from: "/a/f1", to: "/b/f2" });
  ends.ask({ kind: "symlink", id: 4, target: "../../x", link: "/a/link" });
  await ends.answer(4);
  const told = ends.events.map((event) =>
    "path" in event && "mount" in event
      ? [event.event, event.path, event.mount, event.upstream]
      : [event.event, "path" in event ? event.path : "", "to" in event ? event.to : ""],
  );
  assert.deepEqual(told, [
    ["file-open", "/b/file", "/b", "user@host/b"],
    ["file-close", "/b/file", "/b", "user@host/b"],
    ["file-refused", "/a/f1", "/b/f2"],
    ["file-refused", "/a/link", "/a", "user@host/a"],
  ]);
});

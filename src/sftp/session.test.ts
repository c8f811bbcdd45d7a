import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  encodeSftpHello,
  encodeSftpReply,
  encodeSftpRequest,
  FX,
  FXF,
  FXP,
  maxSftpPacketBytes,
  type SftpReply,
  type SftpRequest,
} from "#ssh/sftp";
import { planOf } from "#test/support/confined";
import { open, plainAnswer, rooted, settled, SftpEnds, status, watched } from "#test/support/sftp-ends";

function statusOf(ends: SftpEnds, id: number): number | undefined {
  const reply = ends.toClient.find((each) => each.id === id);
  return reply?.kind === "status" ? reply.code : undefined;
}

test("watched only, every byte goes on as it came, both ways", async () => {
  const ends = await SftpEnds.greeted(watched);
  const up = Buffer.concat([
    encodeSftpRequest(open(1, "/f", FXF.WRITE)),
    encodeSftpRequest({ kind: "other", id: 2, type: FXP.EXTENDED, name: "strange" }),
    Buffer.of(0, 0, 0, 6, 77, 0, 0, 0, 3, 9),
    encodeSftpRequest({ kind: "write", id: 4, handle: "h", offset: 0n, length: 3 }),
    Buffer.from("abc"),
    // Not readable, and so the upstream's to judge.
    Buffer.of(0, 0, 0, 6, FXP.STAT, 0, 0, 0, 5, 1),
  ]);
  const before = ends.bytes.upstream.length;
  for (let at = 0; at < up.length; at += 7) ends.send(up.subarray(at, at + 7));
  assert.deepEqual(Buffer.concat(ends.bytes.upstream.slice(before)), up);
});

test("a path is looked at name by name, and goes on below the root", async () => {
  const ends = await SftpEnds.greeted(rooted);
  ends.ask(open(7, "a/../b/./file"));
  await settled();
  const asked = ends.toUpstream
    .slice(3)
    .map((request) => `${request.kind} ${"path" in request ? request.path : ""}`);
  assert.deepEqual(asked, ["lstat /srv/a", "lstat /srv/b", "lstat /srv/b/file", "open /srv/b/file"]);
  ends.reply({ kind: "handle", id: 7, handle: "h" });
  assert.deepEqual(ends.toClient.at(-1), { kind: "handle", id: 7, handle: "h" });
});

test("where the host takes a backslash for a slash, no name has one; elsewhere it is a sign like others", async () => {
  const paths = ["..\\..\\secret", "/a\\..\\..\\secret", "x\\link\\b"];
  for (const [isSeparator, found] of [
    [true, FX.PERMISSION_DENIED],
    [false, undefined],
  ] as const) {
    const ends = await SftpEnds.greeted(rooted);
    ends.answer = (request) => {
      if (request.kind === "lstat" && request.path === ".\\.")
        return isSeparator
          ? { kind: "attrs", id: request.id, attrs: { permissions: 0o40755 } }
          : status(request.id, FX.NO_SUCH_FILE);
      return plainAnswer(request);
    };
    for (const [id, path] of paths.entries()) {
      ends.ask({ kind: "stat", id, path });
      await settled();
      assert.equal(statusOf(ends, id), found, path);
    }
    const passed = ends.toUpstream.filter((each) => "path" in each && each.path.startsWith("/srv/"));
    assert.equal(passed.length > 0, !isSeparator);
    // What a link says counts as well, read or made.
    ends.answer = (request) => {
      if (request.kind === "lstat")
        return {
          kind: "attrs",
          id: request.id,
          attrs: { permissions: request.path.endsWith("l") ? 0o120777 : 0o40755 },
        };
      return request.kind === "readlink"
        ? { kind: "name", id: request.id, entries: [{ name: "d\\..\\..", longname: "", attrs: {} }] }
        : plainAnswer(request);
    };
    ends.ask({ kind: "stat", id: 10, path: "/l" });
    await settled();
    assert.equal(statusOf(ends, 10), found);
    const before = ends.toUpstream.length;
    ends.answer = plainAnswer;
    ends.ask({ kind: "symlink", id: 11, target: "d\\..\\..", link: "/n" });
    await settled();
    assert.equal(
      ends.toUpstream.slice(before).some(({ kind }) => kind === "symlink"),
      !isSeparator,
    );
  }
});

test("the host's words about a path are replaced", async () => {
  const ends = await SftpEnds.greeted(rooted);
  ends.ask({ kind: "remove", id: 1, path: "/file" });
  await settled();
  ends.reply(status(1, FX.FAILURE, "cannot remove /srv/file"));
  assert.deepEqual(ends.toClient, [status(1, FX.FAILURE, "Failure")]);
});

test("answers of ours wait for those that are due before them", async () => {
  const ends = await SftpEnds.greeted(rooted);
  ends.ask(open(1, "/file"));
  await settled();
  ends.reply({ kind: "handle", id: 1, handle: "h" });
  ends.ask({ kind: "read", id: 2, handle: "h", offset: 0n, length: 4 });
  ends.ask({ kind: "fstat", id: 3, handle: "never" });
  ends.ask({ kind: "limits", id: 4 });
  ends.ask({ kind: "stat", id: 5, path: "\0" });
  await settled();
  assert.deepEqual(
    ends.toClient.map(({ id }) => id),
    [1],
  );
  ends.reply({ kind: "data", id: 2, length: 4 }, Buffer.from("data"));
  assert.deepEqual(
    ends.toClient.map(({ id }) => id),
    [1, 2, 3],
  );
  ends.reply({ kind: "extended", id: 4, data: new Uint8Array(8) });
  await settled();
  assert.deepEqual(
    ends.toClient.map(({ id }) => id),
    [1, 2, 3, 4, 5],
  );
});

test("what was sent behind a request with a path waits for it, and nothing is lost", async () => {
  const ends = await SftpEnds.greeted(rooted);
  ends.answer = () => undefined;
  ends.ask({ kind: "remove", id: 1, path: "/file" });
  const later = Array.from({ length: 50 }, (_, at) => encodeSftpRequest({ kind: "limits", id: at + 2 }));
  ends.send(Buffer.concat(later));
  const [question] = ends.toUpstream.slice(-1);
  assert.equal(question?.kind, "lstat");
  ends.answer = plainAnswer;
  ends.reply(plainAnswer(question) as SftpReply);
  await settled();
  assert.equal(ends.toUpstream.at(-1)?.kind, "remove", "alone, until it is answered");
  ends.reply(status(1, FX.OK));
  await settled();
  assert.deepEqual(
    ends.toUpstream.slice(-51).map(({ kind }) => kind),
    ["remove", ...later.map(() => "limits")],
  );
});

test("bad input of the client: answered, or the channel is over and the client to blame", async () => {
  const broken: readonly (readonly [string, Buffer])[] = [
    ["PEER_SFTP_PACKET_SIZE", Buffer.of(0, 0, 0, 0, FXP.STAT)],
    ["PEER_SFTP_PACKET_SIZE", Buffer.of(0xff, 0xff, 0xff, 0xff, FXP.STAT)],
    ["PEER_SFTP_ORDER", Buffer.from(encodeSftpHello(FXP.INIT))],
    [
      "PEER_SFTP_ORDER",
      Buffer.concat([
        encodeSftpRequest({ kind: "limits", id: 1 }),
        encodeSftpRequest({ kind: "limits", id: 1 }),
      ]),
    ],
  ];
  for (const [code, bytes] of broken) {
    const ends = await SftpEnds.greeted(rooted);
    ends.send(bytes);
    await settled();
    assert.deepEqual([ends.failure?.by, ends.failure?.error.code], ["client", code]);
    ends.ask({ kind: "limits", id: 9 });
    assert.ok(!ends.toUpstream.some(({ id }) => id === 9), "nothing passes any more");
  }
  const early = new SftpEnds(rooted);
  early.ask({ kind: "limits", id: 1 });
  assert.equal(early.failure?.error.code, "PEER_SFTP_ORDER");
  const old = new SftpEnds(rooted);
  old.send(encodeSftpHello(FXP.INIT, { version: 2 }));
  assert.deepEqual([old.failure?.by, old.failure?.error.code], ["client", "PEER_SFTP_VERSION"]);
});

test("requests that make no sense are refused, and the rest goes on", async () => {
  const ends = await SftpEnds.greeted(rooted);
  ends.send(Buffer.of(0, 0, 0, 6, FXP.STAT, 0, 0, 0, 1, 9));
  ends.ask({ kind: "stat", id: 2, path: "a\0b" });
  ends.ask({ kind: "stat", id: 3, path: "x".repeat(65_536) });
  ends.ask({ kind: "stat", id: 4, path: "a/".repeat(200) });
  ends.ask({ kind: "stat", id: 5, path: "" });
  ends.ask({ kind: "read", id: 6, handle: "never", offset: 0n, length: 1 });
  ends.ask({ kind: "write", id: 7, handle: "never", offset: 0n, length: 5 }, Buffer.from("12345"));
  ends.ask({ kind: "other", id: 8, type: FXP.EXTENDED, name: "strange" });
  ends.ask({ kind: "users-groups-by-id", id: 9 });
  ends.send(Buffer.of(0, 0, 0, 5, FXP.STATUS, 0, 0, 0, 10));
  await settled();
  assert.deepEqual(
    [1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map((id) => statusOf(ends, id)),
    [
      FX.BAD_MESSAGE,
      FX.PERMISSION_DENIED,
      FX.PERMISSION_DENIED,
      FX.PERMISSION_DENIED,
      FX.NO_SUCH_FILE,
      FX.FAILURE,
      FX.FAILURE,
      FX.OP_UNSUPPORTED,
      FX.OP_UNSUPPORTED,
      FX.OP_UNSUPPORTED,
    ],
  );
  assert.equal(ends.failure, undefined);
  assert.equal(ends.toUpstream.length, 3, "the host was asked for the root, and how it resolves links");
  // Bytes that are no UTF-8 are a name like any other.
  ends.ask({ kind: "stat", id: 11, path: "\xff\xfe" });
  await settled();
  assert.deepEqual(ends.toUpstream.at(-1), {
    kind: "lstat",
    id: ends.toUpstream.at(-1)?.id,
    path: "/srv/\xff\xfe",
  });
});

test("bad input of the upstream: the channel is over, and the upstream to blame", async () => {
  const cases: readonly ((ends: SftpEnds) => void)[] = [
    (ends) => ends.reply(status(77, FX.OK)),
    (ends) => ends.sendDown(encodeSftpHello(FXP.VERSION)),
    (ends) => ends.sendDown(Buffer.of(0, 0, 0, 6, 99, 0, 0, 0, 1, 0)),
    (ends) => {
      ends.ask({ kind: "limits", id: 1 });
      ends.reply(status(1, FX.OK));
      ends.reply(status(1, FX.OK));
    },
    (ends) => ends.sendDown(Buffer.of(0xff, 0, 0, 0)),
    // The reply to a question of ours is cut short.
    (ends) => {
      ends.answer = () => undefined;
      ends.ask({ kind: "stat", id: 1, path: "/a" });
      const { id = 0 } = ends.toUpstream.at(-1) ?? {};
      const packet = Buffer.of(0, 0, 0, 6, FXP.ATTRS, 0, 0, 0, 0, 0);
      packet.writeUInt32BE(id, 5);
      ends.sendDown(packet);
    },
  ];
  for (const [at, run] of cases.entries()) {
    const ends = await SftpEnds.greeted(rooted);
    run(ends);
    await settled();
    if (at === 4) {
      ends.sendDown(Buffer.of(0));
      await settled();
    }
    assert.equal(ends.failure?.by, "upstream", `case ${at}`);
    assert.equal(ends.failure.error.blame, "PEER");
  }
  const other = new SftpEnds(rooted);
  other.send(encodeSftpHello(FXP.INIT));
  other.sendDown(encodeSftpHello(FXP.VERSION, { version: 4 }));
  assert.deepEqual([other.failure?.by, other.failure?.error.code], ["upstream", "PEER_SFTP_VERSION"]);
});

test("another version passes unread where nothing needs to be read", async () => {
  const ends = new SftpEnds(watched);
  ends.reads = false;
  ends.send(encodeSftpHello(FXP.INIT, { version: 6 }));
  ends.send(Buffer.from("early"));
  ends.sendDown(encodeSftpHello(FXP.VERSION, { version: 6 }));
  await settled();
  ends.send(Buffer.from("anything"));
  ends.sendDown(Buffer.from("whatever"));
  assert.equal(ends.failure, undefined);
  assert.match(Buffer.concat(ends.bytes.upstream).toString("latin1"), /earlyanything$/);
  assert.match(Buffer.concat(ends.bytes.client).toString("latin1"), /whatever$/);
});

test("a host that does not tell what kind of file something is, is not trusted with it", async () => {
  const ends = await SftpEnds.greeted(rooted);
  ends.answer = ({ id }) => ({ kind: "attrs", id, attrs: { size: 1n, permissions: 0o644 } });
  ends.ask(open(1, "/file"));
  await settled();
  assert.equal(statusOf(ends, 1), FX.PERMISSION_DENIED);
});

test("a root that is not there ends the channel before the client is greeted", async () => {
  for (const wrong of [
    { kind: "status", code: FX.NO_SUCH_FILE, message: "" },
    { kind: "name", entries: [{ name: "C:/srv", longname: "", attrs: {} }] },
    { kind: "name", entries: [{ name: "/srv/../etc", longname: "", attrs: {} }] },
  ] as const) {
    const ends = new SftpEnds(rooted);
    ends.answer = ({ id }) => ({ ...wrong, id });
    ends.send(encodeSftpHello(FXP.INIT));
    ends.sendDown(encodeSftpHello(FXP.VERSION));
    await settled();
    assert.equal(ends.failure?.error.code, "UPSTREAM_SFTP_ROOT");
    assert.equal(ends.bytes.client.length, 0);
  }
});

test("the number that the client takes for itself is none of ours, and questions wait for what is due", async () => {
  const ends = await SftpEnds.greeted(rooted);
  const taken = 0xf000_0003;
  ends.ask({ kind: "limits", id: taken });
  ends.ask({ kind: "stat", id: 1, path: "/a/b/c" });
  await settled();
  assert.equal(ends.toUpstream.at(-1)?.id, taken);
  ends.reply({ kind: "extended", id: taken, data: new Uint8Array(0) });
  await settled();
  assert.deepEqual(
    ends.toClient.map(({ id }) => id),
    [taken, 1],
  );
});

test("what passed whole is told with its SHA-256, unless the rule wants none", async () => {
  for (const [hash, sha256] of [
    [true, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"],
    [false, undefined],
  ] as const) {
    for (const root of [{}, { root: "/srv" }]) {
      const ends = await SftpEnds.greeted(planOf({ record: true, hash, confining: "root" in root, ...root }));
      ends.ask(open(1, "/d/new", FXF.WRITE | FXF.CREAT | FXF.TRUNC));
      await settled();
      ends.reply({ kind: "handle", id: 1, handle: "h" });
      await settled();
      ends.ask({ kind: "write", id: 2, handle: "h", offset: 0n, length: 3 }, Buffer.from("abc"));
      ends.reply(status(2, FX.OK));
      ends.ask({ kind: "close", id: 3, handle: "h" });
      ends.reply(status(3, FX.OK));
      await settled();
      const closed = ends.events.find(({ event }) => event === "file-close");
      assert.ok(closed?.event === "file-close");
      assert.deepEqual([closed.bytesWritten, closed.sha256], [3, sha256]);
    }
  }
});

test("a file that is cut has a sum only if it is cut to what was written", async () => {
  const sum = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
  const cases: [flags: number, size: bigint, code: number, sha256: string | undefined][] = [
    [0, 3n, FX.OK, sum],
    [FXF.TRUNC, 3n, FX.OK, sum],
    [0, 3n, FX.FAILURE, undefined],
    [FXF.TRUNC, 2n, FX.OK, undefined],
    [FXF.TRUNC, 0n, FX.OK, undefined],
    [0, 4n, FX.OK, undefined],
  ];
  for (const [flags, size, code, sha256] of cases) {
    const ends = await SftpEnds.greeted(planOf({ record: true, hash: true, confining: false }));
    ends.ask(open(1, "/d/old", FXF.WRITE | FXF.CREAT | flags));
    ends.reply({ kind: "handle", id: 1, handle: "h" });
    ends.ask({ kind: "write", id: 2, handle: "h", offset: 0n, length: 3 }, Buffer.from("abc"));
    ends.ask({ kind: "fsetstat", id: 3, handle: "h", attrs: { size } });
    ends.reply(status(2, FX.OK));
    ends.reply(status(3, code));
    ends.ask({ kind: "close", id: 4, handle: "h" });
    ends.reply(status(4, FX.OK));
    await settled();
    const closed = ends.events.find(({ event }) => event === "file-close");
    assert.ok(closed?.event === "file-close");
    assert.equal(closed.sha256, sha256, `${flags} ${size} ${code}`);
  }
});

test("whatever comes from both sides, nothing is thrown and no more kept than may be", async () => {
  const bytes = fc.uint8Array({ maxLength: 40 });
  const path = fc.constantFrom("/", "a", "/file", "..", "/n/x", "", "\0", "a/../b");
  const handle = fc.constantFrom("h", "i", "");
  const id = fc.nat(5);
  const request: fc.Arbitrary<Uint8Array> = fc.oneof(
    fc
      .record({
        kind: fc.constantFrom("stat", "lstat", "opendir", "remove", "realpath", "readlink"),
        id,
        path,
      })
      .map((r) => encodeSftpRequest(r as SftpRequest)),
    fc
      .record({ kind: fc.constant("open" as const), id, path, flags: fc.nat(63), attrs: fc.constant({}) })
      .map((r) => encodeSftpRequest(r)),
    fc
      .record({ kind: fc.constantFrom("rename", "hardlink", "posix-rename"), id, from: path, to: path })
      .map((r) => encodeSftpRequest(r as SftpRequest)),
    fc
      .record({ kind: fc.constant("symlink" as const), id, target: path, link: path })
      .map((r) => encodeSftpRequest(r)),
    fc
      .record({ kind: fc.constantFrom("close", "readdir", "fstat"), id, handle })
      .map((r) => encodeSftpRequest(r as SftpRequest)),
    fc
      .record({ id, handle, data: bytes })
      .map(({ data, ...r }) =>
        Buffer.concat([encodeSftpRequest({ ...r, kind: "write", offset: 0n, length: data.length }), data]),
      ),
    bytes,
  );
  const reply: fc.Arbitrary<Uint8Array> = fc.oneof(
    fc.record({ kind: fc.constant("handle" as const), id, handle }).map((r) => encodeSftpReply(r)),
    fc
      .record({ kind: fc.constant("status" as const), id, code: fc.nat(9), message: path })
      .map((r) => encodeSftpReply(r)),
    fc
      .record({ kind: fc.constant("name" as const), id, entries: fc.constant([]) })
      .map((r) => encodeSftpReply(r)),
    fc
      .record({ id, data: bytes })
      .map(({ data, ...r }) =>
        Buffer.concat([encodeSftpReply({ ...r, kind: "data", length: data.length }), data]),
      ),
    bytes,
  );
  const step = fc.oneof(
    request.map((data) => ({ by: "client" as const, data })),
    reply.map((data) => ({ by: "upstream" as const, data })),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { maxLength: 30 }),
      fc.constantFrom(rooted, watched, planOf({ root: "/srv", rights: ["create"], record: true })),
      async (steps, plan) => {
        const ends = await SftpEnds.greeted(plan);
        for (const { by, data } of steps) {
          if (by === "client") ends.send(data);
          else ends.sendDown(data);
          assert.ok(ends.session.heldFromUpstream <= maxSftpPacketBytes + 4);
        }
        await settled();
        if (ends.failure !== undefined) assert.equal(ends.failure.error.blame, "PEER");
        ends.session.close();
      },
    ),
    { numRuns: Number(process.env["FUZZ_RUNS"] ?? 300) },
  );
});

/** Anything from a client, and anything from the hosts behind it: whoever breaks the protocol is ended alone, and nothing is kept. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { MountPaths, mountClash } from "#sftp";
import { encodeSftpRequest, type SftpRequest } from "#ssh/sftp";
import { MountedEnds } from "#test/support/mounted-ends";
import { plainAnswer, settled } from "#test/support/sftp-ends";

const numRuns = Number(process.env["FUZZ_RUNS"] ?? 200);

const path = fc
  .array(fc.constantFrom("a", "b", "c", "f", "n", "..", ".", "", "x\0"), { maxLength: 8 })
  .map((names) => names.join("/"));
const slashed = path.map((text) => `/${text}`);
const handle = fc.oneof(
  fc.integer({ min: 0, max: 4 }).map((number) => `m${number}`),
  fc.string({ maxLength: 4 }),
);
const id = fc.integer({ min: 0, max: 100_000 });
const request: fc.Arbitrary<SftpRequest> = fc.oneof<fc.Arbitrary<SftpRequest>[]>(
  fc
    .tuple(
      fc.constantFrom(
        "stat",
        "lstat",
        "opendir",
        "realpath",
        "readlink",
        "remove",
        "rmdir",
        "statvfs",
        "expand-path",
      ),
      slashed,
      id,
    )
    .map<SftpRequest>(([kind, where, number]) => ({ kind, path: where, id: number })),
  fc
    .tuple(fc.constantFrom("rename", "posix-rename", "hardlink"), slashed, path, id)
    .map<SftpRequest>(([kind, from, to, number]) => ({ kind, from, to, id: number })),
  fc
    .tuple(path, slashed, id)
    .map<SftpRequest>(([target, link, number]) => ({ kind: "symlink", target, link, id: number })),
  fc
    .tuple(slashed, fc.integer({ min: 0, max: 63 }), id)
    .map(([where, flags, number]) => ({ kind: "open", path: where, flags, attrs: {}, id: number })),
  fc
    .tuple(fc.constantFrom("close", "fstat", "readdir", "fsync", "fstatvfs"), handle, id)
    .map<SftpRequest>(([kind, held, number]) => ({ kind, handle: held, id: number })),
  fc.tuple(handle, handle, id).map(([from, to, number]) => ({
    kind: "copy-data",
    from,
    to,
    fromOffset: 0n,
    toOffset: 0n,
    length: 1n,
    id: number,
  })),
  fc
    .tuple(handle, id)
    .map(([held, number]) => ({ kind: "read", handle: held, offset: 0n, length: 9, id: number })),
);
const written = fc.tuple(handle, id, fc.uint8Array({ maxLength: 90 })).map(([held, number, data]) => {
  const asked: SftpRequest = { kind: "write", handle: held, offset: 0n, length: data.length, id: number };
  return Buffer.concat([encodeSftpRequest(asked), data]);
});
const fromClient = fc.oneof(
  { weight: 80, arbitrary: request.map((asked) => encodeSftpRequest(asked)) },
  { weight: 20, arbitrary: written },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 40 }) },
);

test("a client's bytes, cut anywhere: each request has one answer, or the client is to blame", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fromClient, { maxLength: 40 }),
      fc.integer({ min: 1, max: 50 }),
      async (pieces, cut) => {
        const ends = new MountedEnds();
        ends.prepare = (host) => {
          let opened = 0;
          host.answer = (asked) => {
            if (asked.kind === "open" || asked.kind === "opendir")
              return { kind: "handle", id: asked.id, handle: `h${opened++}` };
            return plainAnswer(asked) ?? { kind: "status", id: asked.id, code: 0, message: "" };
          };
        };
        const bytes = Buffer.concat(pieces);
        for (let at = 0; at < bytes.length; at += cut) ends.client.fromClient(bytes.subarray(at, at + cut));
        for (let turn = 0; turn < 60; turn++) await settled();
        if (ends.failure === undefined) assert.ok(ends.client.idle, "something is not answered");
        else assert.equal(ends.failure.blame, "PEER");
        // Or our own question at the beginning, which is answered to nobody.
        for (const host of ends.hosts)
          for (const asked of host.asked)
            if ("path" in asked) assert.match(asked.path, /^\/srv(\/|$)|^\/proc\/self$/);
        assert.deepEqual(ends.told, []);
      },
    ),
    { numRuns },
  );
});

test("a host's bytes: it is given up, or answers; the other host goes on", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 8 }), async (pieces) => {
      const ends = new MountedEnds();
      ends.ask({ kind: "stat", id: 1, path: "/b/f" });
      ends.ask({ kind: "stat", id: 2, path: "/a/f" });
      await ends.answer(2);
      const [first] = ends.hosts;
      for (const bytes of pieces) first?.end.received(bytes);
      ends.ask({ kind: "stat", id: 3, path: "/a/f" });
      assert.equal((await ends.answer(3))?.kind, "attrs");
      assert.equal(ends.failure, undefined);
    }),
    { numRuns },
  );
});

test("paths: a meaning, and never one that leaves its mount", () => {
  const paths = new MountPaths(["/a", "/b/c"], () => false);
  fc.assert(
    fc.property(path, (text) => {
      const where = paths.where(text);
      if (where.kind === "mount") {
        let depth = 0;
        for (const name of where.path.split("/").filter((each) => each !== "")) {
          depth += name === ".." ? -1 : 1;
          assert.ok(depth >= 0, where.path);
        }
      } else if (where.kind === "climbs") assert.equal(where.after[0], "..");
    }),
    { numRuns: numRuns * 10 },
  );
});

test("places of mounts: what clashes clashes in any order", () => {
  const place = fc
    .array(fc.constantFrom("a", "b"), { minLength: 1, maxLength: 3 })
    .map((names) => `/${names.join("/")}`);
  fc.assert(
    fc.property(fc.array(place, { maxLength: 4 }), (places) => {
      const clashes = mountClash(places) !== undefined;
      assert.equal(mountClash(places.toReversed()) !== undefined, clashes);
      if (!clashes) assert.doesNotThrow(() => new MountPaths(places, () => false));
    }),
    { numRuns: numRuns * 10 },
  );
});

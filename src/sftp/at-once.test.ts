import assert from "node:assert/strict";
import { test } from "node:test";
import { FX, FXF, S_IFDIR, S_IFLNK, S_IFREG, type SftpReply, type SftpRequest } from "#ssh/sftp";
import { planOf } from "#test/support/confined";
import { settled, SftpEnds } from "#test/support/sftp-ends";
import { maxListedAgeMs, maxSeenAgeMs } from "./known.ts";
import { PathLocks } from "./locks.ts";
import { maxClosing } from "./session.ts";

const S_IFIFO = 0o010000;
const upload = FXF.WRITE | FXF.CREAT | FXF.TRUNC;

/** A host with a few files, which answers when it is told to: then everything that was asked until then. */
class Host {
  readonly kinds = new Map<string, number>([
    ["/srv", S_IFDIR],
    ["/srv/d", S_IFDIR],
    ["/srv/d/a", S_IFREG],
    ["/srv/d/b", S_IFREG],
    ["/srv/d/c", S_IFREG],
  ]);
  size = 0n;
  /** What REALPATH calls the root. */
  renamed = "/srv";
  readonly ends: SftpEnds;
  #answered = 0;
  #handles = 0;
  #listed = new Map<string, boolean>();

  private constructor(ends: SftpEnds) {
    this.ends = ends;
    this.#answered = ends.toUpstream.length;
    ends.answer = () => undefined;
  }

  /** `resolving`: its REALPATH follows links; `openssh`: and by what it announces it is OpenSSH's. */
  static async start(
    options: Parameters<typeof planOf>[0] = {},
    locks?: PathLocks,
    resolving: boolean | "openssh" = false,
  ): Promise<Host> {
    return new Host(
      await SftpEnds.greeted(planOf({ root: "/srv", ...options }), locks, "openssh", resolving),
    );
  }

  /** As OpenSSH's server does: what is last need not be there. */
  #resolved(path: string): string | undefined {
    const names = path.split("/").slice(1);
    for (const at of names.keys()) {
      const kind = this.kinds.get(`/${names.slice(0, at + 1).join("/")}`);
      if (kind === S_IFLNK) return ["/outside", ...names.slice(at + 1)].join("/");
      if (kind === undefined && at + 1 < names.length) return undefined;
    }
    return path.replace("/srv", this.renamed);
  }

  /** Kinds of requests that came since the beginning. */
  get asked(): string[] {
    return this.ends.toUpstream.map(({ kind }) => kind);
  }

  /** What the client is told, and how many times something had to go to the host and come back for it. */
  async ask(request: SftpRequest): Promise<{ readonly reply: SftpReply; readonly trips: number }> {
    this.ends.ask(request);
    let trips = 0;
    for (;;) {
      await settled();
      const due = this.ends.toUpstream.slice(this.#answered);
      if (due.length === 0) break;
      this.#answered += due.length;
      trips++;
      for (const each of due) this.ends.reply(this.#answer(each));
    }
    const reply = this.ends.toClient.at(-1);
    assert.ok(reply !== undefined && reply.id === request.id);
    return { reply, trips };
  }

  #answer(request: SftpRequest): SftpReply {
    const { id } = request;
    const status = (code: number): SftpReply => ({ kind: "status", id, code, message: "" });
    const kind = "path" in request ? this.kinds.get(request.path) : undefined;
    switch (request.kind) {
      case "lstat":
        if (kind === undefined) return status(FX.NO_SUCH_FILE);
        return { kind: "attrs", id, attrs: { size: this.size, permissions: kind } };
      case "realpath": {
        const name = this.#resolved(request.path);
        if (name === undefined) return status(FX.NO_SUCH_FILE);
        return { kind: "name", id, entries: [{ name, longname: name, attrs: {} }] };
      }
      case "readlink":
        return { kind: "name", id, entries: [{ name: "/outside", longname: "", attrs: {} }] };
      case "open":
        if (kind === undefined && (request.flags & FXF.CREAT) === 0) return status(FX.NO_SUCH_FILE);
        if (kind !== undefined && (request.flags & FXF.EXCL) !== 0) return status(FX.FAILURE);
        this.kinds.set(request.path, kind ?? S_IFREG);
        return { kind: "handle", id, handle: `h${++this.#handles}` };
      case "opendir":
        this.#listed.set(`h${++this.#handles}`, false);
        return { kind: "handle", id, handle: `h${this.#handles}` };
      case "readdir": {
        if (this.#listed.get(request.handle) !== false) return status(FX.EOF);
        this.#listed.set(request.handle, true);
        const entries = [...this.kinds].flatMap(([path, permissions]) => {
          const [, name] = /^\/srv\/d\/([^/]+)$/.exec(path) ?? [];
          return name === undefined ? [] : [{ name, longname: name, attrs: { permissions } }];
        });
        return { kind: "name", id, entries };
      }
      default:
        return status(FX.OK);
    }
  }

  async list(): Promise<void> {
    const { reply } = await this.ask({ kind: "opendir", id: 1, path: "/d" });
    assert.ok(reply.kind === "handle");
    for (let id = 2; id < 4; id++) await this.ask({ kind: "readdir", id, handle: reply.handle });
    await this.ask({ kind: "close", id: 4, handle: reply.handle });
  }
}

const open = (path: string, flags: number = FXF.READ, id = 9): SftpRequest => ({
  kind: "open",
  id,
  path,
  flags,
  attrs: {},
});

const codeOf = (reply: SftpReply): number | undefined => (reply.kind === "status" ? reply.code : undefined);

test("files that were listed are opened in one round trip", async () => {
  const host = await Host.start();
  await host.list();
  for (const path of ["/d/a", "/d/b", "d/c"]) {
    const { reply, trips } = await host.ask(open(path));
    assert.deepEqual([reply.kind, trips], ["handle", 1], path);
  }
  assert.deepEqual(host.asked.slice(-3), ["open", "lstat", "lstat"], "looked at behind it");
});

test("so are new files in a folder that was seen, made where there is none and nowhere else", async () => {
  const host = await Host.start();
  await host.ask({ kind: "stat", id: 1, path: "/d" });
  for (const name of ["n1", "n2", "n3"]) {
    const { reply, trips } = await host.ask(open(`/d/${name}`, upload));
    assert.deepEqual([reply.kind, trips], ["handle", 1]);
    const sent = host.ends.toUpstream.at(-3);
    assert.ok(sent?.kind === "open");
    assert.equal(sent.flags, FXF.WRITE | FXF.CREAT | FXF.EXCL);
  }
});

test("files that are written over cost one attempt, then as many round trips as before", async () => {
  const host = await Host.start();
  await host.ask({ kind: "stat", id: 1, path: "/d" });
  const trips: number[] = [];
  for (const name of ["a", "b", "c", "new", "newer"])
    trips.push((await host.ask(open(`/d/${name}`, upload))).trips);
  assert.deepEqual(trips, [3, 2, 2, 2, 1]);
  const opens = host.ends.toUpstream.filter((each) => each.kind === "open" && each.path === "/srv/d/b");
  assert.deepEqual(
    opens.map((each) => each.kind === "open" && each.flags),
    [upload],
  );
});

test("a host that resolves links is asked once about all folders of a path", async () => {
  const host = await Host.start({}, undefined, "openssh");
  host.kinds.set("/srv/d/e", S_IFDIR);
  host.kinds.set("/srv/d/e/f", S_IFREG);
  await host.ask({ kind: "stat", id: 1, path: "/d/e/f" });
  for (const [request, looks] of [
    [open("/d/e/new", upload), ["open", "realpath"]],
    [{ kind: "opendir", id: 9, path: "/d/e" }, ["opendir", "realpath"]],
    [open("/d/e/f"), ["open", "realpath", "lstat"]],
  ] as const) {
    const before = host.asked.length;
    const { reply, trips } = await host.ask(request);
    assert.deepEqual([reply.kind, trips, host.asked.slice(before)], ["handle", 1, looks]);
  }
});

test("where a file is not sure to be new, it is looked at too", async () => {
  const host = await Host.start({}, undefined, true);
  host.kinds.set("/srv/d/e", S_IFDIR);
  await host.ask({ kind: "stat", id: 1, path: "/d/e" });
  const before = host.asked.length;
  assert.equal((await host.ask(open("/d/e/new", upload))).reply.kind, "handle");
  assert.deepEqual(host.asked.slice(before), ["open", "realpath", "lstat"]);
  host.size = 7n;
  const { reply, trips } = await host.ask(open("/d/e/newer", upload));
  assert.deepEqual([reply.kind, trips], ["handle", 4], "open, close, look, open");
});

test("a host that knows its files by other names is asked name by name from then on", async () => {
  const host = await Host.start({}, undefined, "openssh");
  await host.ask({ kind: "stat", id: 1, path: "/d" });
  host.renamed = "/SRV";
  assert.equal((await host.ask(open("/d/new", upload))).reply.kind, "handle");
  const before = host.asked.length;
  await host.ask({ kind: "stat", id: 1, path: "/d" });
  const { reply, trips } = await host.ask({ kind: "opendir", id: 2, path: "/d" });
  assert.deepEqual([reply.kind, trips], ["handle", 1]);
  assert.deepEqual(host.asked.slice(before), ["lstat", "opendir", "lstat"]);
});

test("a folder is listed in one round trip if those above it were seen", async () => {
  const host = await Host.start();
  host.kinds.set("/srv/d/e", S_IFDIR);
  await host.ask({ kind: "stat", id: 1, path: "/d" });
  const { reply, trips } = await host.ask({ kind: "opendir", id: 2, path: "/d/e" });
  assert.deepEqual([reply.kind, trips], ["handle", 1]);
});

for (const resolving of [false, true, "openssh"] as const) {
  const told = resolving === false ? "" : `, at a host that resolves links: ${resolving}`;

  test(`what is no file any more, or lies behind a link, is closed again and refused${told}`, async () => {
    for (const [path, kind] of [
      ["/srv/d", S_IFLNK],
      ["/srv/d/a", S_IFLNK],
      ["/srv/d/a", S_IFIFO],
      ["/srv/d/e", S_IFLNK],
      ["/srv/d/e/a", S_IFLNK],
    ] as const) {
      const last = path.startsWith("/srv/d/e") ? "/d/e/a" : "/d/a";
      for (const request of [open(last), { kind: "opendir", id: 9, path: last } as const]) {
        // Which no server lists.
        if (kind === S_IFIFO && request.kind === "opendir") continue;
        const host = await Host.start({}, undefined, resolving);
        await host.list();
        host.kinds.set("/srv/d/e", S_IFDIR);
        host.kinds.set("/srv/d/e/a", S_IFREG);
        await host.ask({ kind: "lstat", id: 8, path: last });
        host.kinds.set(path, kind);
        const before = host.asked.length;
        const { reply } = await host.ask(request);
        const ours = host.asked.slice(before);
        assert.equal(ours.filter((each) => each === "close").length, 1, `${path} ${kind}`);
        if (request.kind === "open") assert.equal(codeOf(reply), FX.PERMISSION_DENIED);
        assert.ok(!host.ends.toClient.some((each) => each.kind === "handle" && each.id === 9));
      }
    }
  });

  test(`a folder that became a link keeps a new file from being had, and the audit is told${told}`, async () => {
    const host = await Host.start({}, undefined, resolving);
    await host.ask({ kind: "stat", id: 1, path: "/d" });
    host.kinds.set("/srv/d", S_IFLNK);
    const { reply } = await host.ask(open("/d/new", upload));
    assert.equal(codeOf(reply), FX.PERMISSION_DENIED);
    assert.equal(host.asked.filter((kind) => kind === "open").length, 1, "and is not tried again");
    assert.deepEqual(
      host.ends.events.map(({ event }) => event),
      ["file-refused"],
    );
  });
}

/** One file of the folder was opened at once, and the next is being opened: the host has answered that, and not yet the look. */
async function openedEarly(host: Host, request: SftpRequest): Promise<string> {
  const { ends } = host;
  for (const path of ["/d/first", "/d/second"]) await host.ask(open(path, upload));
  ends.ask(request);
  await settled();
  const [opening, ...looks] = ends.toUpstream.slice(-2);
  assert.ok(opening?.kind === "open" && looks.length === 1);
  ends.reply({ kind: "handle", id: opening.id, handle: "early" });
  await settled();
  const told = ends.toClient.at(-1);
  assert.ok(told?.kind === "handle" && told.id === request.id, "while the look is on its way");
  return told.handle;
}

const writing = (id: number, handle: string): SftpRequest => ({
  kind: "write",
  id,
  handle,
  offset: 0n,
  length: 1,
});

test("where the one before went well, the handle is told at once, and waits for the look", async () => {
  const host = await Host.start({}, undefined, "openssh");
  const { ends } = host;
  const handle = await openedEarly(host, open("/d/next", upload, 20));
  const look = ends.toUpstream.at(-1);
  assert.ok(look?.kind === "realpath");
  ends.ask(writing(21, handle), Buffer.from("x"));
  await settled();
  assert.equal(ends.toUpstream.at(-1), look, "nothing goes on before it");
  ends.reply({ kind: "name", id: look.id, entries: [{ name: "/srv/d/next", longname: "", attrs: {} }] });
  await settled();
  assert.deepEqual([ends.toUpstream.at(-1)?.kind, ends.toUpstream.at(-1)?.id], ["write", 21]);
  assert.equal(ends.toClient.filter(({ id }) => id === 20).length, 1, "told once");
});

test("a client may have taken the number that we would take next", async () => {
  const host = await Host.start({}, undefined, "openssh");
  const { ends } = host;
  for (const path of ["/d/first", "/d/second"]) await host.ask(open(path, upload));
  for (let id = (ends.toUpstream.at(-1)?.id ?? 0) + 1, left = 3; left > 0; id += 2, left--) {
    const { reply } = await host.ask(open(`/d/next ${id}`, upload, id));
    assert.equal(reply.kind, "handle");
    const [opening, look] = ends.toUpstream.slice(-2);
    assert.deepEqual([opening?.kind, look?.kind], ["open", "realpath"]);
    assert.equal(opening?.id, id);
    assert.notEqual(look?.id, id);
  }
});

test("a host that answers the look before the opening has the client told all the same", async () => {
  const host = await Host.start({}, undefined, "openssh");
  const { ends } = host;
  for (const path of ["/d/first", "/d/second"]) await host.ask(open(path, upload));
  ends.ask(open("/d/next", upload, 20));
  await settled();
  const [opening, look] = ends.toUpstream.slice(-2);
  assert.ok(opening?.kind === "open" && look?.kind === "realpath");
  ends.reply({ kind: "name", id: look.id, entries: [{ name: "/srv/d/next", longname: "", attrs: {} }] });
  await settled();
  assert.deepEqual(
    ends.toClient.filter(({ id }) => id === 20),
    [],
  );
  ends.reply({ kind: "handle", id: opening.id, handle: "late" });
  await settled();
  assert.deepEqual(
    ends.toClient.filter(({ id }) => id === 20),
    [{ kind: "handle", id: 20, handle: "late" }],
  );
  ends.ask(writing(21, "late"), Buffer.from("x"));
  await settled();
  assert.deepEqual([ends.toUpstream.at(-1)?.kind, ends.toUpstream.at(-1)?.id], ["write", 21]);
});

test("a handle that was told is of no use if the path led elsewhere, and keeps its place until it is closed", async () => {
  const host = await Host.start({}, undefined, "openssh");
  const { ends } = host;
  const handle = await openedEarly(host, open("/d/next", upload, 20));
  const look = ends.toUpstream.at(-1);
  ends.ask(writing(21, handle), Buffer.from("x"));
  ends.reply({
    kind: "name",
    id: look?.id ?? 0,
    entries: [{ name: "/outside/next", longname: "", attrs: {} }],
  });
  await settled();
  ends.ask({ kind: "fstat", id: 22, handle });
  ends.ask({ kind: "copy-data", id: 23, from: handle, fromOffset: 0n, length: 1n, to: handle, toOffset: 0n });
  await settled();
  for (const id of [21, 22, 23]) {
    const reply = ends.toClient.find((each) => each.id === id);
    assert.equal(reply === undefined ? undefined : codeOf(reply), FX.PERMISSION_DENIED, `${id}`);
  }
  assert.equal(ends.toUpstream.at(-1), look, "nothing went on");
  ends.ask({ kind: "close", id: 24, handle });
  await settled();
  assert.deepEqual([ends.toUpstream.at(-1)?.kind, ends.toUpstream.at(-1)?.id], ["close", 24]);
  assert.ok(ends.events.some(({ event }) => event === "file-refused"));
  assert.ok(!ends.events.some((event) => event.event === "file-open" && event.path === "/d/next"));
});

test("a file that was only read is closed for the client at once, and by the host in its own time", async () => {
  const host = await Host.start({ record: true });
  const { ends } = host;
  await host.list();
  const { reply } = await host.ask(open("/d/a"));
  assert.ok(reply.kind === "handle");
  ends.ask({ kind: "close", id: 30, handle: reply.handle });
  await settled();
  const closing = ends.toUpstream.at(-1);
  assert.ok(closing?.kind === "close" && closing.id !== 30);
  assert.deepEqual(ends.toClient.at(-1), { kind: "status", id: 30, code: FX.OK, message: "Success" });
  ends.ask({ kind: "fstat", id: 31, handle: reply.handle });
  await settled();
  assert.equal(ends.toUpstream.at(-1), closing, "it is closed");
  ends.ask(open("/d/b", FXF.READ, 32));
  await settled();
  assert.equal(ends.toUpstream.at(-1)?.kind, "lstat", "the next is opened meanwhile");
  const before = ends.toClient.length;
  ends.reply({ kind: "status", id: closing.id, code: FX.FAILURE, message: "" });
  await settled();
  assert.equal(ends.toClient.length, before, "what the host says of it is nobody's");
  assert.ok(ends.events.some((event) => event.event === "file-close" && event.outcome === "done"));
});

test("a file that was written is closed when the host has closed it; of those that were read, so many at once", async () => {
  const host = await Host.start();
  const { ends } = host;
  await host.list();
  const { reply } = await host.ask(open("/d/new", upload));
  assert.ok(reply.kind === "handle");
  await host.ask({ kind: "close", id: 30, handle: reply.handle });
  assert.equal(ends.toUpstream.at(-1)?.id, 30, "under the client's number");
  const handles: string[] = [];
  for (let n = 0; n <= maxClosing; n++) {
    const opened = await host.ask(open("/d/a", FXF.READ, 100 + n));
    assert.ok(opened.reply.kind === "handle");
    handles.push(opened.reply.handle);
  }
  for (const [n, handle] of handles.entries()) ends.ask({ kind: "close", id: 1000 + n, handle });
  await settled();
  const closed = ends.toClient.filter(({ id }) => id >= 1000);
  assert.equal(closed.length, maxClosing);
  assert.equal(ends.toUpstream.at(-1)?.id, 1000 + maxClosing, "this one waits for the host");
});

test("a server that makes files where there are some is not asked again to open at once", async () => {
  const host = await Host.start();
  host.size = 7n;
  await host.ask({ kind: "stat", id: 1, path: "/d" });
  assert.equal((await host.ask(open("/d/new", upload))).trips, 4, "open, close, look, open");
  host.kinds.delete("/srv/d/new");
  assert.equal((await host.ask(open("/d/other", upload))).trips, 2);
});

test("nothing is opened at once that was not seen, or not lately", async () => {
  const host = await Host.start();
  await host.ask({ kind: "stat", id: 1, path: "/d" });
  assert.equal((await host.ask(open("/d/a"))).trips, 2, "it could be a pipe");
  assert.equal((await host.ask(open("/d/a"))).trips, 1);
  host.ends.clock.advance(maxSeenAgeMs + 1);
  assert.equal((await host.ask(open("/d/new", upload))).trips, 2);
  await host.list();
  host.ends.clock.advance(maxListedAgeMs + 1);
  await host.ask({ kind: "stat", id: 1, path: "/d" });
  assert.equal((await host.ask(open("/d/c"))).trips, 2);
  host.kinds.set("/srv/d/pipe", S_IFIFO);
  await host.list();
  assert.equal((await host.ask(open("/d/b"))).trips, 1);
  const { reply, trips } = await host.ask(open("/d/pipe"));
  assert.deepEqual([codeOf(reply), trips], [FX.PERMISSION_DENIED, 1], "looked at, and not opened");
  assert.notEqual(host.asked.at(-1), "close");
});

test("nor behind the back of the rights", async () => {
  const box = await Host.start({ rights: ["create", "list"], hide: ["b"] });
  await box.list();
  const before = box.asked.length;
  assert.equal(codeOf((await box.ask(open("/d/a"))).reply), FX.PERMISSION_DENIED);
  assert.equal(codeOf((await box.ask(open("/d/b"))).reply), FX.NO_SUCH_FILE);
  assert.equal(codeOf((await box.ask(open("/d/a", upload))).reply), FX.PERMISSION_DENIED);
  assert.ok(!box.asked.slice(before).includes("open"));
});

test("what any session moves or links makes all of them look first again", async () => {
  const locks = new PathLocks();
  const mover = await Host.start({}, locks);
  const host = await Host.start({}, locks);
  const elsewhere = await Host.start({ root: "/other" }, locks);
  const fresh = async (): Promise<void> => {
    await host.ask({ kind: "stat", id: 1, path: "/d" });
    assert.equal((await host.ask(open("/d/a"))).reply.kind, "handle");
  };
  await fresh();
  assert.equal((await host.ask(open("/d/a"))).trips, 1);
  await mover.ask({ kind: "rename", id: 1, from: "/d/b", to: "/d/moved" });
  assert.equal((await host.ask(open("/d/a"))).trips, 2);
  assert.equal((await host.ask(open("/d/a"))).trips, 1);
  await host.ask({ kind: "symlink", id: 1, target: "a", link: "/d/l" });
  assert.equal((await host.ask(open("/d/a"))).trips, 2, "its own too");
  elsewhere.kinds.set("/other/x", S_IFREG);
  await elsewhere.ask({ kind: "rename", id: 1, from: "/x", to: "/y" });
  assert.equal((await host.ask(open("/d/a"))).trips, 1, "folders that have nothing to do with it");
  host.ends.session.close();
});

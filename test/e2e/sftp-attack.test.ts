/**
 * Two sessions that try everything to get out of their folder: thousands of random requests at once, with links that lead out lying
 * about before they come. What is outside is never read, listed, changed or named.
 */
import assert from "node:assert/strict";
import { randomBytes, randomInt } from "node:crypto";
import { lstat, mkdir, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { PathLocks } from "#sftp";
import { FXF } from "#ssh/sftp";
import { Confined, noSftpServer, planOf } from "#test/support/confined";
import type { Answer, Asking, SftpAsker } from "#test/support/sftp-asker";
import { tempDir } from "#test/support/temp-dir";
import { Mounted } from "#test/support/mounted";

const steps = Number(process.env["ATTACK_STEPS"] ?? 6000);
const seed = Number(process.env["ATTACK_SEED"] ?? randomInt(2 ** 31));

/** mulberry32: the same seed, the same attack. */
function randomOf(start: number): (below: number) => number {
  let state = start;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

interface Field extends AsyncDisposable {
  readonly root: string;
  /** A second root, beside the first. */
  readonly other: string;
  readonly above: string;
  /** Occurs outside only: in a file, in names. */
  readonly marker: string;
  /** Part of the path of all that is outside. */
  readonly place: string;
}

/** A tree with a secret beside the root, and links to it inside. */
async function field(): Promise<Field> {
  const folder = await tempDir();
  const marker = `canary${randomBytes(8).toString("hex")}`;
  const place = `place${randomBytes(8).toString("hex")}`;
  const above = folder.at(place);
  const root = join(above, "root");
  await mkdir(join(root, "d", "e"), { recursive: true });
  await mkdir(join(root, "p", "x"), { recursive: true });
  await mkdir(join(root, "q"));
  await mkdir(join(above, `${marker}-folder`));
  await writeFile(join(above, "secret"), marker.repeat(100));
  await writeFile(join(above, `${marker}-folder`, "secret"), marker.repeat(100));
  await writeFile(join(root, "file"), "inside");
  await writeFile(join(root, "p", "x", "secret"), "inside");
  await symlink(above, join(root, "q", "x"));
  await symlink("../..", join(root, "d", "up"));
  await symlink(join(above, "secret"), join(root, "d", "e", "secret"));
  await symlink("../../../secret", join(root, "d", "e", "far"));
  await symlink("../secret", join(root, "near"));
  await symlink(above, join(root, "out"));
  const other = join(above, "other");
  await mkdir(join(other, "d", "e"), { recursive: true });
  await writeFile(join(other, "file"), "inside");
  await symlink("../root", join(other, "out"));
  await symlink("../../../secret", join(other, "d", "e", "far"));
  return { root, other, above, marker, place, [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose]() };
}

/** All that can be told of what lies outside. */
async function outside({ above, marker }: Field): Promise<string> {
  const told: string[] = [];
  for (const path of [
    above,
    join(above, "secret"),
    join(above, `${marker}-folder`),
    join(above, `${marker}-folder`, "secret"),
  ]) {
    const { mode, nlink, uid, gid, size, mtimeMs } = await lstat(path);
    told.push(`${path} ${mode} ${nlink} ${uid} ${gid} ${size} ${mtimeMs}`);
  }
  told.push(...(await readdir(above)), ...(await readdir(join(above, `${marker}-folder`))));
  for (const path of [join(above, "secret"), join(above, `${marker}-folder`, "secret")])
    told.push(await readFile(path, "utf8"));
  return told.join("\n");
}

const names = [
  "a",
  "b",
  "d",
  "e",
  "p",
  "q",
  "x",
  "up",
  "out",
  "far",
  "near",
  "secret",
  "file",
  ".",
  "..",
  "",
];

/** Of somebody who knows where the folder is, or who does not; `places` are where folders begin. */
function requestOf(
  random: (below: number) => number,
  field: Field,
  knows: boolean,
  places: readonly string[],
): Asking {
  const { root, above } = knows ? field : { root: "/srv", above: "/srv/.." };
  const pick = <T>(list: readonly T[]): T => list[random(list.length)] as T;
  const path = (): string => {
    const parts = Array.from({ length: 1 + random(4) }, () => pick(names)).join("/");
    const place = pick(places);
    return pick([
      `${place}${parts}`,
      `/${place}${parts}`,
      `${root}/${parts}`,
      `${above}/secret`,
      `../${place}${parts}`,
      `/${place}${parts}/`,
    ]);
  };
  const target = (): string =>
    pick([
      path(),
      `${above}/secret`,
      above,
      "..",
      "../..",
      "../../secret",
      "/",
      "/..",
      "a/../../secret",
      "secret",
      ".",
    ]);
  const two = (kind: "rename" | "posix-rename" | "hardlink"): Asking => ({ kind, from: path(), to: path() });
  const attrs = { permissions: 0o777, times: { atime: 1, mtime: 1 } };
  const all: readonly (() => Asking)[] = [
    () => ({ kind: "symlink", target: target(), link: path() }),
    () => ({ kind: "symlink", target: target(), link: path() }),
    () => two("rename"),
    () => two("posix-rename"),
    () => two("posix-rename"),
    () => two("hardlink"),
    () => ({ kind: "mkdir", path: path(), attrs: {} }),
    () => ({ kind: "remove", path: path() }),
    () => ({ kind: "rmdir", path: path() }),
    () => ({ kind: "realpath", path: path() }),
    () => ({ kind: "expand-path", path: pick([path(), `~/${path()}`, "~root"]) }),
    () => ({ kind: "readlink", path: path() }),
    () => ({ kind: "stat", path: path() }),
    () => ({ kind: "lstat", path: path() }),
    () => ({ kind: "statvfs", path: path() }),
    () => ({ kind: "opendir", path: path() }),
    () => ({ kind: "open", path: path(), flags: FXF.READ, attrs: {} }),
    () => ({ kind: "open", path: path(), flags: FXF.READ, attrs: {} }),
    () => ({
      kind: "open",
      path: path(),
      flags: FXF.WRITE | FXF.CREAT | pick([0, FXF.TRUNC, FXF.EXCL, FXF.APPEND]),
      attrs: {},
    }),
    () => ({
      kind: pick(["setstat", "lsetstat"] as const),
      path: path(),
      attrs: pick([attrs, { size: 0n }]),
    }),
  ];
  return pick(all)();
}

/** Uses what was opened as far as it goes, then closes it. */
async function use(client: SftpAsker, request: Asking, answer: Answer): Promise<void> {
  if (answer.kind !== "handle") return;
  const { handle } = answer;
  if (request.kind === "opendir") await client.ask({ kind: "readdir", handle });
  else if (request.kind === "open" && request.flags === FXF.READ) {
    await client.ask({ kind: "read", handle, offset: 0n, length: 4096 });
    await client.ask({ kind: "fstat", handle });
  } else await client.ask({ kind: "write", handle, offset: 0n, length: 4 }, Buffer.from("evil"));
  await client.ask({ kind: "close", handle });
}

/** Notes whatever it is sent that bears one of the marks. */
function guard(client: SftpAsker, marks: readonly string[], found: string[]): void {
  client.seen = (bytes) => {
    if (marks.some((mark) => bytes.includes(mark))) found.push(bytes.toString("latin1"));
  };
}

/** Two clients of the same folders, and where in what they see these begin. */
interface Attackers {
  readonly start: (ground: Field) => Promise<SftpAsker & AsyncDisposable>;
  readonly places: readonly string[];
}

async function attackAtRandom(
  context: TestContext,
  knows: boolean,
  { start, places }: Attackers,
): Promise<void> {
  context.diagnostic(`ATTACK_SEED=${seed} ATTACK_STEPS=${steps}`);
  await using ground = await field();
  const before = await outside(ground);
  await using one = await start(ground);
  await using other = await start(ground);
  const found: string[] = [];
  let done = 0;
  let succeeded = 0;
  const attack = async (client: SftpAsker, from: number): Promise<void> => {
    guard(client, knows ? [ground.marker] : [ground.marker, ground.place], found);
    const random = randomOf(from);
    while (done < steps) {
      const batch = Array.from({ length: 1 + random(8) }, () => requestOf(random, ground, knows, places));
      done += batch.length;
      await Promise.all(
        batch.map(async (request) => {
          const answer = await client.ask(request);
          if (answer.kind !== "status" || answer.code === 0) succeeded++;
          await use(client, request, answer);
        }),
      );
      if (found.length > 0) console.error(JSON.stringify(found), batch);
      assert.deepEqual(found, [], `seed ${seed}: after ${done} steps`);
    }
  };
  await Promise.all([attack(one, seed), attack(other, seed ^ 0x5555_5555)]);
  assert.equal(await outside(ground), before, `seed ${seed}: what lies outside has changed`);
  assert.ok(succeeded > steps / 20, `only ${succeeded} of ${steps} requests did anything`);
}

/** In one folder. */
function inFolder(): Attackers {
  const locks = new PathLocks();
  return { start: ({ root }) => Confined.start({ plan: planOf({ root }), locks }), places: [""] };
}

/** In a tree with two of them, between which lies what is secret too. */
function inMounts(): Attackers {
  const locks = new PathLocks();
  return {
    start: ({ root, other }) =>
      Mounted.start({ mounts: { "/m": planOf({ root }), "/v/n": planOf({ root: other }) }, locks }),
    places: ["", "m/", "m/", "v/n/", "v/n/", "m/d/../../v/n/", "v/n/out/../../m/", "v/"],
  };
}

for (const [where, attackers] of [
  ["a folder", inFolder],
  ["a tree of mounts", inMounts],
] as const)
  for (const knows of [false, true])
    test(
      `random attacks in ${where} by two sessions at once, which ${knows ? "know" : "do not know"} where it is`,
      { skip: noSftpServer, timeout: 240_000 },
      (context) => attackAtRandom(context, knows, attackers()),
    );

test("an empty folder is replaced by one with a link that leads out, while another session makes a file in it", {
  skip: noSftpServer,
  timeout: 240_000,
}, async (context) => {
  context.diagnostic(`ATTACK_SEED=${seed}`);
  await using ground = await field();
  const before = await outside(ground);
  const locks = new PathLocks();
  const plan = planOf({ root: ground.root });
  await using swapper = await Confined.start({ plan, locks });
  await using user = await Confined.start({ plan, locks });
  const random = randomOf(seed);
  const folders = { empty: join(ground.root, "empty"), trap: join(ground.root, "trap") };
  let made = 0;
  let swapped = 0;
  for (let round = 0; round < steps / 10; round++) {
    for (const folder of Object.values(folders)) await rm(folder, { recursive: true, force: true });
    for (const folder of Object.values(folders)) await mkdir(folder);
    await symlink(join(ground.above, "secret"), join(folders.trap, "new"));
    // So that each comes first now and then.
    const wait = async (client: SftpAsker): Promise<void> => {
      for (let left = random(4); left > 0; left--) await client.ask({ kind: "stat", path: "/" });
    };
    const swap = async (): Promise<void> => {
      await wait(swapper);
      const answer = await swapper.ask({ kind: "posix-rename", from: "/trap", to: "/empty" });
      if (answer.kind === "status" && answer.code === 0) swapped++;
    };
    const make = async (): Promise<void> => {
      await wait(user);
      const flags = FXF.WRITE | FXF.CREAT | FXF.TRUNC;
      const request: Asking = { kind: "open", path: "/empty/new", flags, attrs: {} };
      const answer = await user.ask(request);
      if (answer.kind === "handle") made++;
      await use(user, request, answer);
    };
    await Promise.all([swap(), make()]);
    assert.equal(await outside(ground), before, `round ${round}`);
  }
  assert.ok(swapped > 20 && made > 20, `${swapped} times swapped, ${made} times made`);
});

test("a folder whose files are opened at once is exchanged for one with links that lead out", {
  skip: noSftpServer,
  timeout: 240_000,
}, async (context) => {
  context.diagnostic(`ATTACK_SEED=${seed}`);
  await using ground = await field();
  const before = await outside(ground);
  const locks = new PathLocks();
  const plan = planOf({ root: ground.root });
  await using swapper = await Confined.start({ plan, locks });
  await using user = await Confined.start({ plan, locks });
  const found: string[] = [];
  guard(user, [ground.marker], found);
  const random = randomOf(seed);
  const names = ["a", "b", "c"];
  const folders = { full: join(ground.root, "full"), trap: join(ground.root, "trap") };
  for (const folder of Object.values(folders)) await mkdir(folder);
  for (const name of names) {
    await writeFile(join(folders.full, name), "inside");
    await symlink(join(ground.above, "secret"), join(folders.trap, name));
  }
  const list = async (): Promise<void> => {
    const folder = await user.ask({ kind: "opendir", path: "/full" });
    if (folder.kind !== "handle") return;
    const { handle } = folder;
    for (;;) if ((await user.ask({ kind: "readdir", handle })).kind !== "name") break;
    await user.ask({ kind: "close", handle });
  };
  const counts = { swapped: 0, opened: 0, made: 0, refused: 0 };
  const swap = async (): Promise<void> => {
    for (let left = random(12); left > 0; left--) await swapper.ask({ kind: "stat", path: "/" });
    for (const [from, to] of [
      ["/full", "/old"],
      ["/trap", "/full"],
      ["/old", "/trap"],
    ] as const) {
      const answer = await swapper.ask({ kind: "posix-rename", from, to });
      if (answer.kind === "status" && answer.code === 0) counts.swapped++;
    }
  };
  const useAll = async (round: number): Promise<void> => {
    await list();
    for (const name of names) {
      const read: Asking = { kind: "open", path: `/full/${name}`, flags: FXF.READ, attrs: {} };
      const answer = await user.ask(read);
      counts[answer.kind === "handle" ? "opened" : "refused"]++;
      await use(user, read, answer);
      const flags = FXF.WRITE | FXF.CREAT | FXF.TRUNC;
      const make: Asking = { kind: "open", path: `/full/new-${round}-${name}`, flags, attrs: {} };
      const made = await user.ask(make);
      if (made.kind === "handle") counts.made++;
      await use(user, make, made);
    }
  };
  for (let round = 0; round < steps / 60; round++) {
    await Promise.all([swap(), useAll(round)]);
    assert.deepEqual(found, [], `seed ${seed}, round ${round}`);
    assert.equal(await outside(ground), before, `seed ${seed}, round ${round}`);
  }
  for (const [what, count] of Object.entries(counts)) assert.ok(count > 20, `${what}: ${count}`);
});

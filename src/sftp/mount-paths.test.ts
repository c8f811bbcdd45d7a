import assert from "node:assert/strict";
import { test } from "node:test";
import { MountPaths, mountClash, type Where } from "./mount-paths.ts";

const paths = new MountPaths(["/in", "/far/archive", "/far/hidden"], (path) =>
  path.startsWith("/far/hidden"),
);

function shown(where: Where): string {
  switch (where.kind) {
    case "virtual":
      return where.folder.path;
    case "mount":
      return `${where.mount}:${where.path}${where.whole ? "!" : ""}`;
    case "absent":
      return `no ${where.path}${where.inFolder ? " in its folder" : ""}`;
    case "climbs":
      return `${where.mount}:${where.before} then ${where.after.join("/")}`;
  }
}

const meanings: readonly (readonly [path: string, meaning: string])[] = [
  ["/", "/"],
  [".", "/"],
  ["", "/"],
  ["..", "/"],
  ["/../..", "/"],
  ["/far", "/far"],
  ["far/", "/far"],
  ["/far/..", "/"],
  ["/far/../in", "0:/!"],
  ["in", "0:/!"],
  ["/in/", "0:/!"],
  ["//in/./a//b", "0:/a/b"],
  ["/in/a/", "0:/a/"],
  ["/in/a/.", "0:/a/"],
  ["/in/a/../b", "0:/a/../b"],
  ["/in/..", "/"],
  ["/in/../far/archive/x", "1:/x"],
  ["/far/archive/../archive/x", "1:/x"],
  ["/far/archive/../..", "/"],
  ["/in/a/../..", "0:/a/.. then .."],
  ["/in/a/../../far", "0:/a/.. then ../far"],
  ["/in/a/b/../../../in/c", "0:/a/b/../.. then ../in/c"],
  ["/none", "no /none in its folder"],
  ["/none/deeper", "no /none"],
  ["/far/none", "no /far/none in its folder"],
  ["/none/..", "no /none"],
  ["/far/hidden", "no /far/hidden in its folder"],
  ["/far/hidden/x", "no /far/hidden"],
  ["/inn", "no /inn in its folder"],
];
for (const [path, meaning] of meanings)
  test(`"${path}" is ${meaning}`, () => assert.equal(shown(paths.where(path)), meaning));

test("it goes on from where a link led, and asks again behind names that are not known", () => {
  assert.equal(shown(paths.goOn("/in", "/", ["..", "far"])), "/far");
  assert.equal(shown(paths.goOn("/in", "/x/y", ["..", "z"])), "0:/x/z");
  assert.equal(shown(paths.goOn("/in", "/x", ["..", "..", "far", "archive", "a"])), "1:/a");
  assert.equal(shown(paths.goOn("/in", "/", ["..", "in", "a", "..", ".."])), "0:/a/.. then ..");
});

test("what is hidden is in no listing", () => {
  const far = paths.where("/far");
  assert.ok(far.kind === "virtual");
  assert.deepEqual(
    paths.childrenOf(far.folder).map(({ path }) => path),
    ["/far/archive"],
  );
});

test("places that cannot stand beside each other", () => {
  assert.equal(mountClash(["/a", "/b", "/aa", "/c/a"]), undefined);
  assert.match(mountClash(["/a", "/b/c", "/b/c"]) ?? "", /two mounts are at \/b\/c/);
  assert.match(mountClash(["/a/b", "/a"]) ?? "", /the mount \/a\/b lies within the mount \/a/);
  assert.match(mountClash(["/a", "/a/b"]) ?? "", /the mount \/a\/b lies within the mount \/a/);
  assert.match(mountClash(["/"]) ?? "", /cannot be at \//);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { parseTemplate } from "#base";
import { bytesOf } from "#ssh/sftp";
import { planOf } from "#test/support/confined";
import { code } from "#test/support/decoder";
import { componentsOf, staysBelow, withoutDots, withoutRoot } from "./paths.ts";
import { fileRulesFor, fillRoot, placePattern } from "./rules.ts";

test("a pattern with a slash is for the whole path, and for all below it", () => {
  const cases: readonly (readonly [string, readonly string[], readonly string[]])[] = [
    ["/in", ["/in", "/in/a", "/in/a/b"], ["/", "/inn", "/a/in"]],
    ["/in/*", ["/in/a", "/in/a/b"], ["/in", "/"]],
    ["/*/x", ["/a/x", "/a/x/y"], ["/x", "/a/b/x"]],
    ["/**/x", ["/a/x", "/a/b/x/y"], ["/x"]],
    ["/a?c", ["/abc"], ["/ac", "/a/c"]],
    ["/a.c+(d)", ["/a.c+(d)"], ["/abc+(d)"]],
    ["/", ["/", "/a"], []],
    ["*.tmp", ["/a.tmp", "/b/a.tmp", "/a.tmp/b"], ["/tmp", "/"]],
    [".git", ["/.git", "/a/.git/config"], ["/a.git"]],
    ["ä", [bytesOf("/ä")], ["/ä"]],
  ];
  for (const [pattern, fitting, others] of cases) {
    const fits = placePattern(pattern);
    for (const path of fitting) assert.ok(fits(path), `${pattern} fits ${path}`);
    for (const path of others) assert.ok(!fits(path), `${pattern} does not fit ${path}`);
  }
});

test("of patterns for rights the first that fits counts", () => {
  const rules = fileRulesFor(
    planOf({
      rights: ["list"],
      paths: [
        { path: "/in/secret", rights: [] },
        { path: "/in", rights: ["create"] },
      ],
      hide: ["/gone"],
      extensions: [".CSV"],
    }),
    {},
  );
  assert.deepEqual([...rules.rights("/in/secret/x")], []);
  assert.deepEqual([...rules.rights("/in/x")], ["create"]);
  assert.deepEqual([...rules.rights("/x")], ["list"]);
  assert.equal(rules.hidden("/gone/x"), true);
  assert.equal(rules.fitsExtensions("/a.csv"), true);
  assert.equal(rules.fitsExtensions("/a.csv.exe"), false);
  // Folders that could not be moved without their rules: in, at and above.
  assert.deepEqual(
    ["/", "/in", "/in/secret", "/in/secret/x", "/gone", "/x"].map((path) => rules.bindsPlace(path)),
    [true, true, true, true, true, false],
  );
});

test("no name of a client's leads to another root", () => {
  const root = parseTemplate("/srv/{user}/files");
  assert.equal(fillRoot(root, { user: "ada" }), "/srv/ada/files");
  for (const user of ["", "..", ".", "a/b", "/", "a\0b", "..\\..\\x", undefined])
    assert.equal(fillRoot(root, { user }), undefined, String(user));
  assert.equal(fillRoot(parseTemplate("/srv/{1}{2}"), { 1: ".", 2: "." }), undefined);
  assert.throws(
    () => fileRulesFor(planOf({ root: "/srv/{user}" }), { user: ".." }),
    code("DENIED_SFTP_ROOT"),
  );
});

test("paths by names", () => {
  assert.deepEqual(componentsOf("//a/./b/"), ["a", "b"]);
  assert.deepEqual(withoutDots(["..", "a", "..", "b"]), ["b"]);
  assert.deepEqual(withoutRoot(["srv", "a", "x"], ["srv", "a"]), ["x"]);
  assert.equal(withoutRoot(["srv", "ab"], ["srv", "a"]), undefined);
  assert.equal(staysBelow(["..", "a", "..", ".."], 2), true);
  assert.equal(staysBelow(["..", "..", ".."], 2), false);
  assert.equal(staysBelow(["..", "root"], 0), false);
});

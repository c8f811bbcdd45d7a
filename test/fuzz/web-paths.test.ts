/** Paths of devices, and what is written anew on the way out: whatever is said, it stays at its own device. */
import assert from "node:assert/strict";
import { Readable } from "node:stream";
import { test } from "node:test";
import fc from "fast-check";
import { answerAt, cookieAt, placeAt, placedByPath } from "../../src/http-proxy/prefix.ts";

const prefix = "/d/kiosk7";
const pieces = fc.array(
  fc.constantFrom(
    "/",
    "d",
    "kiosk7",
    "//",
    "..",
    "?",
    ";",
    "=",
    "Path",
    "path ",
    " ",
    "\\",
    ":",
    "http",
    "gate",
    "%2f",
    "é",
  ),
  { maxLength: 12 },
);
const text = fc.oneof(
  fc.string({ maxLength: 60 }),
  pieces.map((each) => each.join("")),
);

test("a path names one device, and what is left begins with a stroke", () => {
  fc.assert(
    fc.property(text, (path) => {
      const asked = {
        method: "GET",
        path: `/${path}`,
        host: "gate",
        authority: "gate",
        fields: [],
        body: Readable.from([]),
        length: "none",
      } as const;
      const found = placedByPath(asked);
      if (found === undefined || "elsewhere" in found) return;
      assert.equal(`${found.prefix}${found.asked.path}`, asked.path);
      assert.match(found.asked.path, /^\//);
    }),
  );
});

test("what a cookie's path becomes, and a place at this host, is the device's", () => {
  fc.assert(
    fc.property(text, text, (name, path) => {
      const moved = cookieAt(prefix, `${name}=1; Path=${path}`);
      // What stands first is the cookie itself, whatever it is called.
      const [, ...attributes] = moved.split(";");
      const paths = attributes.filter((each) => /^\s*path\s*=/i.test(each));
      assert.notEqual(paths.length, 0);
      for (const each of paths) assert.match(each.trim(), /^path=\/d\/kiosk7(?:\/|$)/i, moved);
      const place = placeAt(prefix, path, ["gate"]);
      if (/^\/(?!\/)/.test(place)) assert.match(place, /^\/d\/kiosk7(?:\/|$)/);
      for (const [field] of answerAt(prefix, [[name, path]], ["gate"])) assert.equal(field, name);
    }),
  );
});

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { PosternError, Secret } from "#base";
import { parseXauthList } from "../../src/client/x11/cookie.ts";
import { parseDisplay } from "../../src/client/x11/display.ts";
import { FirstWords } from "../../src/client/x11/first-words.ts";

const fake = { protocol: "MIT-MAGIC-COOKIE-1", data: new Secret(Buffer.alloc(16, "f")) };
const real = { protocol: "MIT-MAGIC-COOKIE-1", data: new Secret(Buffer.alloc(16, "r")) };

test("the first words of an X client: passed with the cookie replaced, or refused; never anything else", () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 8 }),
      fc.boolean(),
      (pieces, begun) => {
        const words = new FirstWords(fake, real);
        const head = begun ? [Uint8Array.of(0x6c, 0, 11, 0, 0, 0, 18, 0, 16, 0, 0, 0)] : [];
        try {
          for (const piece of [...head, ...pieces]) {
            const whole = words.receive(piece);
            if (whole === undefined) continue;
            assert.ok(whole.includes(Buffer.alloc(16, "r")));
            return;
          }
        } catch (error) {
          if (!(error instanceof PosternError)) throw error;
          assert.equal(error.code, "PEER_X11_REFUSED");
        }
      },
    ),
  );
});

test("what DISPLAY and xauth say: read, or nothing; never a throw, and no word that a command line takes for an option", () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[a-z[\]:/.-]{0,12}:\d{1,6}(\.\d)?$/)), (text) => {
      parseXauthList(text);
      const display = parseDisplay(text);
      if (display === undefined) return;
      assert.match(display.name, /^[^-\s]\S*$/);
      if (display.place.kind === "tcp") assert.ok(display.place.port >= 6000 && display.place.port <= 65_535);
    }),
  );
});

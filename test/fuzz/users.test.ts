/** Files of users and of htpasswd, as operators write them: read, or refused as the operator's; never anything else. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { PosternError, silentLog } from "#base";
import { changeUser, Users, type UserChange } from "#auth";
import fc from "fast-check";

const bcrypt = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";

const word = fc.oneof(
  fc.string(),
  fc.constantFrom("people", "ada", "totp", "secret", "digits", "passwords", "groups", "GEZDGNBVGY3TQOJQ"),
  fc.constantFrom(bcrypt, "${file:/x}", "${file:", "__proto__", "constructor", "8", "null", "*a", "&a", "<<"),
);
const yaml = fc.oneof(
  fc.string({ maxLength: 200 }),
  fc
    .array(fc.oneof(word, fc.constantFrom(":", "\n", "\n  ", "- ", "{", "}", "[", "]", "'", '"', "#")), {
      maxLength: 40,
    })
    .map((parts) => parts.join("")),
  fc
    .dictionary(word, fc.dictionary(word, fc.oneof(word, fc.array(word), fc.dictionary(word, word))))
    .map((people) => JSON.stringify({ people })),
);
const htpasswd = fc
  .array(fc.oneof(word, fc.constantFrom(":", "\n", "\r\n", "#", "{SHA}", "$apr1$", bcrypt)), {
    maxLength: 40,
  })
  .map((parts) => parts.join(""));

function users(file: string, hashes: string): Users {
  const texts = new Map([
    ["/users", file],
    ["/htpasswd", hashes],
  ]);
  const read = async (path: string): Promise<{ bytes: Uint8Array; mode: number } | undefined> => {
    const text = texts.get(path);
    return text === undefined ? undefined : { bytes: Buffer.from(text), mode: 0o600 };
  };
  return new Users(
    { file: "/users", htpasswd: "/htpasswd", people: {} },
    { files: { read }, log: silentLog, secret: new Uint8Array(1) },
  );
}

test("whatever stands in the files, a question is answered, and only by users of the right form", async () => {
  await fc.assert(
    fc.asyncProperty(yaml, htpasswd, word, async (file, hashes, name) => {
      const { user, standIn } = await users(file, hashes).find(name);
      for (const found of [user, standIn]) {
        if (found === undefined) continue;
        assert.equal(typeof found.name, "string");
        assert.ok(found.passwords.every((hash) => hash.startsWith("$")));
        assert.ok(found.totp === undefined || found.totp.secret.byteLength >= 10);
      }
    }),
    { numRuns: 500 },
  );
});

test("at the start, the files are taken, or refused as the operator's", async () => {
  await fc.assert(
    fc.asyncProperty(yaml, htpasswd, async (file, hashes) => {
      try {
        await users(file, hashes).check();
      } catch (error) {
        assert.ok(error instanceof PosternError && error.blame === "OPERATOR", String(error));
      }
    }),
    { numRuns: 500 },
  );
});

test("a file that was changed can be read and has the change, or nothing was changed", async () => {
  const change: fc.Arbitrary<UserChange> = fc.constantFrom<UserChange[]>(
    { kind: "add", user: { groups: ["ops"] } },
    { kind: "passwords", hashes: [bcrypt] },
    { kind: "remove" },
  );
  await fc.assert(
    fc.asyncProperty(
      yaml,
      fc.constantFrom("ada", "people", "constructor"),
      change,
      async (file, name, each) => {
        let changed: string;
        try {
          await users(file, "").check();
          changed = changeUser(file, name, each);
        } catch (error) {
          assert.ok(error instanceof PosternError && error.blame === "OPERATOR", String(error));
          return;
        }
        const { user } = await users(changed, "").find(name);
        if (each.kind === "remove") assert.equal(user, undefined);
        else if (each.kind === "add") assert.deepEqual(user?.groups, ["ops"]);
      },
    ),
    { numRuns: 500 },
  );
});

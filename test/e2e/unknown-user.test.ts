/** Who is not known, or not allowed, learns nothing: the same methods, the same words, and no upstream hears of it. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { runSsh } from "#test/support/ssh";
import { missing } from "#test/support/strangers";
import { keyLogin, keyRule, startWorld, upstreamTo, type World } from "#test/support/world";

const skip = missing("ssh", "sshd");
let world: World;
before(async () => {
  if (skip !== false) return;
  world = await startWorld({
    rules: (parts) => {
      const hash = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
      const password = { kind: "password", hashes: [hash] };
      return [
        keyRule(parts, "by-key"),
        keyRule(parts, "by-password", { login: [password] }),
        keyRule(parts, "by-both", { login: [keyLogin(parts.identity), password] }),
        keyRule(parts, "from-elsewhere", { match: { user: "from-elsewhere", from: ["10.0.0.0/8"] } }),
        keyRule(parts, "no-longer", { match: { user: "no-longer", notAfter: "2020-01-01T00:00:00Z" } }),
        keyRule(parts, "passed-on", {
          login: [{ kind: "password", check: "upstream" }],
          upstream: upstreamTo(parts, { credentials: [{ kind: "client-password" }] }),
        }),
        keyRule(parts, "target", {
          match: { userPattern: "target\\+(?<host>.+)" },
          upstream: { ...upstreamTo(parts), addresses: undefined, host: "{host}", port: parts.sshd.port },
          targets: ["127.0.0.1"],
        }),
      ];
    },
  });
});
after(async () => {
  await world?.[Symbol.asyncDispose]();
});

const unknown = ["nobody", "root", "from-elsewhere", "no-longer", "target+10.1.2.3", "x".repeat(200), "né"];
const known = ["by-key", "by-password", "by-both", "target+127.0.0.1"];

/** What one who may not come in sees, without the name. */
async function seen(user: string, passwords?: readonly string[]): Promise<string> {
  const stranger = world.keys.key("ed25519", "stranger");
  const { code, stderr } = await runSsh(world.gateway.target(user, stranger.path), ["true"], {
    flags: ["-v"],
    ...(passwords === undefined ? {} : { passwords }),
    options: [`NumberOfPasswordPrompts=${passwords?.length ?? 1}`],
  });
  assert.equal(code, 255);
  return (
    stderr
      .split("\n")
      // ssh writes the name with escapes, which are not what the gateway said.
      .map((line) => line.replace(/^.*@127\.0\.0\.1: /, "USER: "))
      .filter(
        (line) =>
          !/^(debug1:|OpenSSH_)/.test(line) ||
          /Authentications that can continue|Next auth|banner/i.test(line),
      )
      .join("\n")
  );
}

test("with a key: all who may not come in see the same", { skip }, async () => {
  const model = await seen("nobody");
  assert.match(model, /Permission denied \(/);
  for (const user of [...unknown, ...known]) assert.equal(await seen(user), model, user);
});

test("with passwords: all who may not come in see the same", { skip }, async () => {
  const passwords = ["one", "two", "three"];
  const model = await seen("nobody", passwords);
  for (const user of [...unknown, ...known]) assert.equal(await seen(user, passwords), model, user);
});

test("no upstream hears of a login that the gateway refused", { skip }, async () => {
  const before = world.sshd.count(/Connection from/);
  for (const user of ["nobody", "by-key", "by-password"]) await seen(user, ["guess"]);
  assert.equal(world.sshd.count(/Connection from/), before);
});

function told(user: string): string {
  const lines = world.gateway.logs().filter((line) => line["user"] === user);
  return lines.map((line) => JSON.stringify(line)).join("\n");
}

test("the log, and it alone, knows the difference", { skip }, async () => {
  await seen("nobody");
  await seen("by-key");
  assert.notEqual(told("nobody"), "");
  assert.match(told("by-key"), /by-key/);
});

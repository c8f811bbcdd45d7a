import assert from "node:assert/strict";
import { test } from "node:test";
import { type LogFields, parseTemplate, Secret, silentLog } from "#base";
import type { AuthContext, FileRead, TotpSecret } from "#contract";
import { changeUser, type UserChange } from "./edit.ts";
import { parseHtpasswd } from "./htpasswd.ts";
import { type UsersConfig, usersSchema } from "./schema.ts";
import { referredUser, Users } from "./users.ts";

const bcrypt = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
const base32 = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

interface Desk {
  readonly users: Users;
  readonly files: Map<string, string | FileRead>;
  readonly said: LogFields[];
}

function desk(config: Partial<UsersConfig>, files: Record<string, string | FileRead> = {}): Desk {
  const map = new Map(Object.entries(files));
  const said: LogFields[] = [];
  const say = (event: string, fields?: LogFields): void => void said.push({ event, ...fields });
  const read = async (path: string): Promise<FileRead | undefined> => {
    const file = map.get(path);
    return typeof file === "string" ? { bytes: Buffer.from(file), mode: 0o600 } : file;
  };
  const users = new Users(
    { people: {}, ...config },
    { files: { read }, log: { ...silentLog, warn: say, error: say }, secret: Buffer.from("secret") },
  );
  return { users, files: map, said };
}

const file = `
people:
  ada:
    passwords: ["${bcrypt}"]
    keys: [ssh-ed25519 AAAA ada]
    totp: gezd gnbv gy3t qojq-gezd gnbv gy3t qojq
    groups: [ops]
  bob:
    totp: { secret: ${base32}, digits: 8, algorithm: sha256 }
  carol: {}
  dave:
`;

test("a file of users gives all that stands in it", async () => {
  const { users, said } = desk({ file: "/u" }, { "/u": file });
  const { user: ada } = await users.find("ada");
  assert.deepEqual(ada?.passwords, [bcrypt]);
  assert.deepEqual(ada.keys, ["ssh-ed25519 AAAA ada"]);
  assert.deepEqual(ada.groups, ["ops"]);
  assert.equal(ada.totp?.secret.text(), "12345678901234567890");
  assert.deepEqual([ada.totp.digits, ada.totp.algorithm], [6, "sha1"]);
  const { user: bob } = await users.find("bob");
  assert.deepEqual([bob?.totp?.digits, bob?.totp?.algorithm], [8, "sha256"]);
  for (const name of ["carol", "dave"])
    assert.deepEqual((await users.find(name)).user, { name, passwords: [], keys: [], groups: [] });
  assert.deepEqual(
    (await users.all()).map(({ name }) => name),
    ["ada", "bob", "carol", "dave"],
  );
  assert.equal((await users.find("eve")).user, undefined);
  assert.equal((await users.find("__proto__")).user, undefined);
  assert.deepEqual(said, []);
});

test("who stands in several places has all that stands there; changes count at once; a missing file is empty", async () => {
  const people = { ada: { passwords: ["$scrypt$x"], keys: [], groups: ["a"] } };
  const { users, files } = desk({ people, file: "/u", htpasswd: "/h" });
  assert.deepEqual((await users.find("ada")).user?.passwords, ["$scrypt$x"]);
  files.set("/u", "people: { ada: { groups: [b] } }");
  files.set("/h", `ada:${bcrypt}\n`);
  const { user } = await users.find("ada");
  assert.deepEqual(user?.passwords, ["$scrypt$x", bcrypt]);
  assert.deepEqual(user.groups, ["a", "b"]);
  files.set("/u", "");
  assert.deepEqual((await users.find("ada")).user?.groups, ["a"]);
});

test("secrets come from files of their own, as those are at the moment", async () => {
  const { users, files, said } = desk(
    { file: "/dir/u" },
    { "/dir/u": "people: { ada: { totp: '${file:ada.totp}' } }", "/dir/ada.totp": `${base32}\n` },
  );
  assert.equal((await users.find("ada")).user?.totp?.secret.text(), "12345678901234567890");
  files.set("/dir/ada.totp", "MFRGGZDFMZTWQ2LKNNWG23TPOA======");
  assert.equal((await users.find("ada")).user?.totp?.secret.text(), "abcdefghijklmnop");
  files.delete("/dir/ada.totp");
  assert.equal((await users.find("ada")).user, undefined);
  assert.match(String(said[0]?.["reason"]), /\/dir\/u:1: people\.ada: .*no file \/dir\/ada\.totp/);
});

test("one user who is wrong does not keep the others out; what is wrong is said once, and never shown", async () => {
  const text = `people:\n  ada: { totp: hunter2 }\n  bob: { passwords: [hunter2] }\n  "a:b": {}\n  eve: { what: 1 }\n  zoe: {}\n`;
  const { users, said } = desk({ file: "/u" }, { "/u": text });
  assert.equal((await users.check()).length, 4, "and does not stop the start");
  assert.notEqual((await users.find("zoe")).user, undefined);
  for (const name of ["ada", "bob", "a:b", "eve"])
    assert.equal((await users.find(name)).user, undefined, name);
  const starts = [
    "/u:2: people.ada.totp: ",
    "/u:3: people.bob.passwords.0: ",
    "/u:4: people.a:b: ",
    "/u:5: people.eve: ",
  ];
  assert.equal(said.length, starts.length);
  for (const [at, start] of starts.entries())
    assert.ok(String(said[at]?.["reason"]).startsWith(start), String(said[at]?.["reason"]));
  assert.ok(!JSON.stringify(said).includes("hunter2"));
});

test("a file that is wrong as a whole stops the start, and at a login lets nobody of it in", async () => {
  const wrong: readonly (readonly [string | FileRead, RegExp])[] = [
    ["people: [", /\/u:1/],
    ["- ada\n", /only the key `people`/],
    ["users: {}\n", /only the key `people`/],
    ["people: { ada: &x {}, bob: *x }", /aliases/],
    [{ bytes: Buffer.from("people: {}"), mode: 0o606 }, /everybody may write/],
    ["[".repeat(10_000), /YAML|nested|\/u/],
  ];
  for (const [content, pattern] of wrong) {
    const { users, files, said } = desk(
      { file: "/u", people: { listed: { passwords: [], keys: [], groups: [] } } },
      { "/u": content },
    );
    await assert.rejects(users.check(), { code: "OPERATOR_USERS_FILE_INVALID", message: pattern });
    assert.equal((await users.find("ada")).user, undefined);
    assert.notEqual((await users.find("listed")).user, undefined);
    assert.equal(said.length, 1, "said once");
    assert.equal(said[0]?.["event"], "users-ignored");
    files.set("/u", file);
    assert.notEqual((await users.find("ada")).user, undefined, "put right, it holds at once");
  }
});

test("whoever is not listed has somebody who stands in, always the same, of those with a password", async () => {
  const people = Object.fromEntries(
    ["a", "b", "c", "d"].map((name) => [
      name,
      { passwords: name === "d" ? [] : [bcrypt], keys: [], groups: [] },
    ]),
  );
  const { users } = desk({ people });
  const standIns = new Set<string | undefined>();
  for (let at = 0; at < 60; at += 1) {
    const { user, standIn } = await users.find(`nobody${at}`);
    assert.equal(user, undefined);
    assert.equal((await users.find(`nobody${at}`)).standIn?.name, standIn?.name);
    standIns.add(standIn?.name);
  }
  assert.deepEqual(standIns, new Set(["a", "b", "c"]));
  assert.equal((await desk({}).users.find("x")).standIn, undefined);
});

test("a login method takes a capture for the name, and members only", async () => {
  const { users } = desk({ people: { ada: { passwords: [], keys: [], groups: ["ops"] } } });
  const context = (captures: Record<string, string>): AuthContext => ({
    user: "ada+web",
    captures,
    from: { text: "unix" },
    nowMs: 0,
    signal: AbortSignal.timeout(60_000),
    pretended: false,
  });
  const name = parseTemplate("{login}");
  const found = async (captures: Record<string, string>, groups?: readonly string[]): Promise<string> => {
    const referred = await referredUser({ name, groups }, users, context(captures));
    return referred.user?.name ?? referred.reason;
  };
  assert.equal(await found({ login: "ada" }), "ada");
  assert.equal(await found({ login: "ada" }, ["dev", "ops"]), "ada");
  assert.equal(await found({ login: "ada" }, ["dev"]), '"ada" is in none of the groups dev');
  assert.equal(await found({ login: "eve" }), '"eve" is not among the users');
  assert.equal(await found({}), "{login} has no value");
});

test("htpasswd: bcrypt is taken, everything weaker is told, with what to do", () => {
  const warnings: string[] = [];
  const text = [
    "# comment",
    "",
    `ada:${bcrypt}`,
    `crlf:${bcrypt}\r`,
    "sha:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=",
    "md5:$apr1$abcdefgh$aaaaaaaaaaaaaaaaaaaaaa",
    "des:rqXexS6ZhobKA",
    "short:$2y$05$abc",
    "dear:$2y$31$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
    "nothing",
    `:${bcrypt}`,
  ].join("\n");
  const found = parseHtpasswd(text, ({ line, name, reason }) =>
    warnings.push(`${line} ${name} ${reason.split(":")[0]}`),
  );
  assert.deepEqual(
    [...found],
    [
      ["ada", [bcrypt]],
      ["crlf", [bcrypt]],
    ],
  );
  assert.deepEqual(warnings, [
    "5 sha {SHA} is SHA-1 without salt, found in no time",
    "6 md5 $apr1$ is MD5, too quick to try out",
    "7 des the hash is not bcrypt (crypt(3) and plain text are not taken)",
    "8 short the bcrypt hash is malformed, or its cost is below 4 or above 16",
    "9 dear the bcrypt hash is malformed, or its cost is below 4 or above 16",
    "10  it has no name before a colon",
    "11  it has no name before a colon",
  ]);
});

test("the configuration takes the same, and refuses short secrets", () => {
  const parsed = usersSchema.parse({ people: { ada: { totp: base32 } } });
  assert.equal(parsed.people["ada"]?.totp?.secret.text(), "12345678901234567890");
  for (const wrong of ["", "MFRGGZDF", "not base32!", "A".repeat(300)]) {
    const { error } = usersSchema.safeParse({ people: { ada: { totp: wrong } } });
    assert.ok(error !== undefined, wrong);
    assert.ok(wrong === "" || !JSON.stringify(error.issues).includes(wrong));
  }
});

const code: TotpSecret = { secret: new Secret("12345678901234567890"), digits: 6, algorithm: "sha1" };
const totpChange = (replace = false): UserChange => ({ kind: "totp", totp: code, replace });

test("a user is changed in the text, and the rest of it stays", () => {
  const start = "# the team\npeople:\n  # boss\n  ada: { groups: [ops] } # since 2020\n";
  const enrolled = changeUser(start, "ada", totpChange());
  assert.equal(
    enrolled,
    `# the team\npeople:\n  # boss\n  ada: { groups: [ ops ], totp: ${base32} } # since 2020\n`,
  );
  const added = changeUser(enrolled, "bob", {
    kind: "add",
    user: { keys: ["ssh-ed25519 AAAA b"], groups: [] },
  });
  assert.match(added, /^ {2}bob:\n {4}keys:\n {6}- ssh-ed25519 AAAA b$/m);
  const changed = changeUser(added, "bob", { kind: "passwords", hashes: [bcrypt] });
  assert.ok(changed.includes(bcrypt));
  assert.equal(changeUser(added, "bob", { kind: "remove" }), enrolled);
  const long = changeUser("", "zoe", { kind: "totp", totp: { ...code, digits: 8 }, replace: false });
  assert.match(
    long,
    /^people:\n {2}zoe:\n {4}totp:\n {6}secret: [A-Z2-7]+\n {6}digits: 8\n {6}algorithm: sha1\n$/,
  );
  assert.equal(changeUser("people:\n", "zoe", totpChange()), `people:\n  zoe:\n    totp: ${base32}\n`);
});

test("what was written is read back", async () => {
  const { users } = desk({ file: "/u" }, { "/u": changeUser("", "ada", totpChange()) });
  assert.ok((await users.find("ada")).user?.totp?.secret.equals(code.secret));
});

test("changes that do not fit are refused, and a file that is wrong is left alone", () => {
  const refused: readonly (readonly [string, string, UserChange])[] = [
    ["people: { ada: { totp: X } }", "ada", totpChange()],
    ["people: { ada: {} }", "ada", { kind: "add", user: {} }],
    ["", "ada", { kind: "remove" }],
    ["", "ada", { kind: "passwords", hashes: [] }],
    ["", "a b", totpChange()],
    ["", "", totpChange()],
  ];
  for (const [text, name, change] of refused)
    assert.throws(() => changeUser(text, name, change), { code: "OPERATOR_USER_CHANGE_REFUSED" }, name);
  for (const text of ["people: [", "- a\n", "text"])
    assert.throws(() => changeUser(text, "ada", totpChange()), { code: "OPERATOR_USERS_FILE_INVALID" }, text);
  assert.match(changeUser("people: { ada: { totp: X } }", "ada", totpChange(true)), new RegExp(base32));
});

/** Second factors and users: what each step asks, what is refused, and that strangers learn nothing from it. */
import assert from "node:assert/strict";
import { readFile, stat, writeFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { codeAt } from "#auth";
import { Secret } from "#base";
import type { AuditRecord, TotpSecret } from "#contract";
import { Secret as Base32 } from "otpauth";
import { auditLines } from "#test/support/audit-lines";
import { postern } from "#test/support/gateway";
import { runOnPty } from "#test/support/pty";
import { runSsh, sshCommand } from "#test/support/ssh";
import { missing, stranger } from "#test/support/strangers";
import type { Outcome } from "#test/support/child";
import { keyLogin, keyRule, startWorld, upstreamTo, type World } from "#test/support/world";
import { needsRoot } from "#test/support/test-user";
import { until } from "#test/support/waiting";

const skip = missing("ssh", "sshd");
const password = "pleaseletmein";
/** RFC 7914, section 12 */
const hash =
  "$scrypt$ln=14,r=8,p=1$U29kaXVtQ2hsb3JpZGU$cCO9yzr9c0hGHAbNgf046/2o+7qQT44+qbVD9lRdofLVQylVYT8Pz2LUlwUkKpr55h6F3A1lHkDfzwF7RVdYhw";

let world: World;
let users: string;
let audit: string;
/** ssh counts all exchanges of a login against this, also those that went well. */
const twoPrompts = "NumberOfPasswordPrompts=2";
const enrolled = new Map<string, TotpSecret>();

before(async () => {
  if (skip !== false) return;
  world = await startWorld({
    config: { log: { level: "debug", format: "json" }, workers: 2, limits: { failureDelaySeconds: 0.2 } },
    sshd: { config: ["PasswordAuthentication yes"] },
  });
  const { gateway, identity } = world;
  users = gateway.folder.at("users.yaml");
  audit = gateway.folder.at("audit.jsonl");
  const byUsers = { kind: "password", users: {}, methods: ["password", "keyboard-interactive"] };
  const code = { kind: "totp" };
  const rule = (name: string, more: object) => ({
    name,
    match: { userPattern: `${name}-[a-z]+` },
    upstream: upstreamTo(world),
    ...more,
  });
  await gateway.rewrite(
    [
      rule("key", { login: [keyLogin(identity), code], require: ["publickey", "totp"] }),
      rule("word", { login: [byUsers, code], require: ["password", "totp"] }),
      rule("either", {
        login: [keyLogin(identity), byUsers, code],
        require: [["publickey", "password"], "totp"],
      }),
      rule("asked", { login: [byUsers] }),
      rule("members", { login: [{ ...byUsers, users: { groups: ["admins"] } }] }),
      {
        ...rule("through", {
          login: [{ kind: "password", check: "upstream", methods: ["keyboard-interactive"] }, code],
          require: ["password", "totp"],
          upstream: upstreamTo(world, { credentials: [{ kind: "client-password" }] }),
        }),
      },
      keyRule(world, "plain"),
    ],
    {
      users: { file: users, people: { "asked-listed": { passwords: [hash] } } },
      audit: [{ kind: "jsonl", file: audit }],
    },
  );
  gateway.signal("SIGHUP");
  await gateway.waitForLog("reload", ({ event }) => event === "reloaded");
  await writeFile(
    users,
    `# by hand\n${JSON.stringify({
      people: Object.fromEntries(
        ["word-ada", "either-ada", "asked-ada", "members-ada", "members-eve", "word-bare"].map((name) => [
          name,
          { passwords: [hash], groups: name === "members-ada" ? ["admins"] : [] },
        ]),
      ),
    })}\n`,
    { mode: 0o600 },
  );
  for (const name of [
    "key-ada",
    "key-replay",
    "key-wrong",
    "key-pty",
    "word-ada",
    "either-ada",
    "through-ada",
  ])
    await enrol(name);
});
after(async () => {
  await world?.[Symbol.asyncDispose]();
});

async function enrol(name: string, more: readonly string[] = []): Promise<Outcome> {
  const outcome = await postern(["user", "totp", name, "-c", world.gateway.configFile, ...more]);
  assert.equal(outcome.code, 0, outcome.stderr);
  const address = new URL(outcome.stdout.toString().trim());
  const secret = new Secret(Base32.fromBase32(address.searchParams.get("secret") ?? "").bytes);
  const algorithm = (address.searchParams.get("algorithm") ?? "").toLowerCase();
  assert.ok(algorithm === "sha1" || algorithm === "sha256");
  enrolled.set(name, { secret, digits: address.searchParams.get("digits") === "8" ? 8 : 6, algorithm });
  return outcome;
}

function codeOf(name: string, offsetSeconds = 0): string {
  const totp = enrolled.get(name);
  assert.ok(totp !== undefined, name);
  return codeAt(totp, Date.now() + offsetSeconds * 1000);
}

interface Try {
  readonly answers: readonly string[];
  /** With the client's key. */
  readonly key?: boolean;
  readonly options?: readonly string[];
  readonly flags?: readonly string[];
}

async function login(
  user: string,
  { answers, key = false, options = [], flags = [] }: Try,
): Promise<Outcome> {
  const target = world.gateway.target(user, key ? world.identity.path : undefined);
  return await runSsh(target, ["echo in"], { passwords: answers, options, flags });
}

function assertIn(outcome: Outcome): void {
  assert.equal(outcome.code, 0, outcome.stderr);
  assert.equal(outcome.stdout.toString(), "in\n");
}

function assertRefused(outcome: Outcome): void {
  assert.equal(outcome.code, 255, outcome.stdout.toString());
  assert.match(outcome.stderr, /Permission denied \(/);
}

/** The audit's lines of logins under a name, once there are so many. */
async function attempts(user: string, count: number): Promise<AuditRecord[]> {
  return await until(`${count} lines about ${user}`, () => {
    const lines = auditLines(audit).filter((record) => record.event === "auth" && record.user === user);
    return lines.length >= count && lines;
  });
}

test("a key, then a code; each step is in the audit", { skip }, async () => {
  assertIn(await login("key-ada", { key: true, answers: [codeOf("key-ada")] }));
  const lines = await attempts("key-ada", 2);
  assert.deepEqual(
    lines.map((line) => line.event === "auth" && [line.method, line.outcome, line.rule]),
    [
      ["publickey", "partial", "key"],
      ["keyboard-interactive", "accepted", "key"],
    ],
  );
  assert.ok(lines[1]?.event === "auth" && lines[1].by === "totp of key-ada");
  const [success] = world.gateway.events("auth-success").filter(({ user }) => user === "key-ada");
  assert.equal(success?.["method"], "publickey,keyboard-interactive");
});

test("at a terminal, the code is asked for and not shown", { skip }, async () => {
  const target = world.gateway.target("key-pty", world.identity.path);
  const code = codeOf("key-pty");
  const { code: status, stdout } = await runOnPty({
    command: [stranger("ssh"), ...sshCommand(target, ["echo in"], { options: ["BatchMode=no"] })],
    steps: [{ expect: "Verification code: ", send: `${code}\r` }],
  });
  assert.equal(status, 0, stdout.toString());
  assert.match(stdout.toString(), /in\r?\n/);
  assert.ok(!stdout.toString().includes(code));
});

test("a key without a code, or with a wrong one, lets nobody in", { skip }, async () => {
  assertRefused(await login("key-wrong", { key: true, answers: ["000000"] }));
  assertRefused(await login("key-wrong", { key: true, answers: [""] }));
  assertRefused(
    await login("key-wrong", { key: true, answers: [], options: ["PreferredAuthentications=publickey"] }),
  );
  // Of five minutes ago.
  assertRefused(await login("key-wrong", { key: true, answers: [codeOf("key-wrong", -300)] }));
  const reasons = (await attempts("key-wrong", 7))
    .filter((line) => line.event === "auth" && line.outcome === "refused")
    .map((line) => line.event === "auth" && line.reason);
  assert.deepEqual(new Set(reasons), new Set(["the code is wrong, or of another time"]));
});

test("the code alone, without the key before it, lets nobody in", { skip }, async () => {
  const options = ["PreferredAuthentications=keyboard-interactive"];
  assertRefused(await login("key-ada", { answers: [codeOf("key-ada", 30)], options }));
});

test("a code is taken once, whichever worker is asked", { skip }, async () => {
  // Of the period that has just begun to be taken: time enough, wherever in a period this runs.
  const code = codeOf("key-replay", 20);
  assertIn(await login("key-replay", { key: true, answers: [code] }));
  for (let again = 0; again < 4; again += 1)
    assertRefused(await login("key-replay", { key: true, answers: [code] }));
  const refused = (await attempts("key-replay", 10)).filter(
    (line) => line.event === "auth" && line.outcome === "refused",
  );
  assert.ok(refused.every((line) => line.event === "auth" && /was used before/.test(line.reason ?? "")));
  assert.ok(refused.length >= 4);
});

test("five wrong codes in a row, and the sixth is not looked at, until the user is unlocked", {
  skip,
}, async () => {
  await enrol("key-locked");
  for (let wrong = 0; wrong < 5; wrong += 1)
    assertRefused(await login("key-locked", { key: true, answers: ["000000"] }));
  assertRefused(await login("key-locked", { key: true, answers: [codeOf("key-locked")] }));
  const last = (await attempts("key-locked", 12)).at(-1);
  assert.ok(last?.event === "auth" && /too many wrong codes/.test(last.reason ?? ""), JSON.stringify(last));
  const unlocked = await postern(["user", "unlock", "key-locked", "-c", world.gateway.configFile]);
  assert.equal(unlocked.code, 0, unlocked.stderr);
  assertIn(await login("key-locked", { key: true, answers: [codeOf("key-locked")] }));
});

for (const way of ["password", "keyboard-interactive"]) {
  test(`a password by ${way}, then a code`, { skip }, async () => {
    await enrol("word-ada", ["--force"]);
    const options = [`PreferredAuthentications=${way},keyboard-interactive`, twoPrompts];
    assertIn(await login("word-ada", { answers: [password, codeOf("word-ada")], options }));
    assertRefused(await login("word-ada", { answers: ["wrong", "wrong"], options }));
  });
}

test("a choice in a step: a key or a password, then a code", { skip }, async () => {
  await enrol("either-ada", ["--force"]);
  assertIn(await login("either-ada", { key: true, answers: [codeOf("either-ada")] }));
  await enrol("either-ada", ["--force", "--digits", "8", "--algorithm", "sha256"]);
  assert.match(codeOf("either-ada"), /^[0-9]{8}$/);
  const options = ["PreferredAuthentications=password,keyboard-interactive"];
  assertIn(await login("either-ada", { answers: [password, codeOf("either-ada")], options }));
});

test("a password that the upstream checks, asked as a prompt, then a code", {
  skip: skip || needsRoot,
}, async () => {
  const { password: real, name } = world.user;
  assert.ok(real !== undefined && name !== "");
  const options = [twoPrompts];
  assertIn(await login("through-ada", { answers: [real, codeOf("through-ada")], options }));
  assertRefused(await login("through-ada", { answers: ["wrong", "wrong"], options }));
  const { code, stderr } = await login("through-nobody", { answers: ["wrong", "123456"] });
  assert.equal(code, 255, stderr);
});

test("a password asked as a prompt alone; users of the configuration and of the file", { skip }, async () => {
  const options = ["PreferredAuthentications=keyboard-interactive"];
  for (const user of ["asked-ada", "asked-listed"]) {
    assertIn(await login(user, { answers: [password], options }));
    assertRefused(await login(user, { answers: ["wrong"], options }));
  }
  assertRefused(await login("asked-stranger", { answers: [password], options }));
});

test("groups: who is not a member is refused with the right password", { skip }, async () => {
  assertIn(await login("members-ada", { answers: [password] }));
  assertRefused(await login("members-eve", { answers: [password] }));
});

/** What a client is shown, without the name and the dates. */
async function shown(user: string, tried: Try): Promise<string> {
  const { code, stderr } = await login(user, { ...tried, flags: ["-v"] });
  assert.equal(code, 255, stderr);
  return stderr
    .split("\n")
    .map((line) => line.replace(/^.*@127\.0\.0\.1: /, "USER: "))
    .filter(
      (line) =>
        !/^(debug1:|OpenSSH_)/.test(line) ||
        /Authentications that can continue|Next auth|partial/i.test(line),
    )
    .join("\n");
}

test("names that are not known, and known ones, are asked the same and refused the same", {
  skip,
}, async () => {
  for (const way of ["keyboard-interactive", "password", "publickey,keyboard-interactive,password"]) {
    const options = [`PreferredAuthentications=${way}`, twoPrompts];
    const tried = { answers: ["guess", "again"], options };
    const model = await shown("nobody", tried);
    assert.match(
      model,
      /Authentications that can continue: publickey,password,keyboard-interactive|Permission denied/,
    );
    for (const user of [
      "plain",
      "key-ada",
      "word-ada",
      "word-bare",
      "word-nobody",
      "asked-ada",
      "asked-no",
      "x",
    ])
      assert.equal(await shown(user, tried), model, `${user} by ${way}`);
  }
});

test("the prompt is the same for a name that is listed and one that is not", { skip }, async () => {
  const prompts = async (user: string): Promise<string> => {
    const target = world.gateway.target(user);
    const { stdout } = await runOnPty({
      command: [
        stranger("ssh"),
        ...sshCommand(target, ["true"], {
          options: [
            "BatchMode=no",
            "PreferredAuthentications=keyboard-interactive",
            "NumberOfPasswordPrompts=1",
          ],
        }),
      ],
      steps: [{ expect: ": $", send: "guess\r" }],
    });
    return stdout.toString().replaceAll(user, "USER");
  };
  const model = await prompts("asked-ada");
  assert.match(model, /Password: /);
  assert.equal(await prompts("asked-nobody"), model);
});

test("enrolment: the file stays private, its comments stay, and nothing is replaced unasked", {
  skip,
}, async () => {
  const text = await readFile(users, "utf8");
  assert.match(text, /^# by hand/);
  assert.equal((await stat(users)).mode & 0o777, 0o600);
  const again = await postern(["user", "totp", "key-ada", "-c", world.gateway.configFile]);
  assert.notEqual(again.code, 0);
  assert.match(again.stderr, /"key-ada" has a secret already/);
  assert.equal(await readFile(users, "utf8"), text);
  await writeFile(users, text.replace(/totp: ["']?[A-Z2-7]{32}["']?/, "totp: nonsense"), { mode: 0o600 });
  const checked = await postern(["check", "-c", world.gateway.configFile]);
  await writeFile(users, text);
  assert.equal(checked.code, 0, checked.stderr);
  assert.match(checked.stderr, /users\.yaml:\d+: people\.[a-z-]+\.totp: is no secret/);
  const printed = await postern(["user", "totp", "zoe", "--print"]);
  assert.match(printed.stdout.toString(), /^people:\n {2}zoe:\n {4}totp: "[A-Z2-7]{32}"\notpauth:\/\/totp\//);
});

test("the command line adds, lists, changes and removes users; the gateway knows at once", {
  skip,
}, async () => {
  const configFile = ["-c", world.gateway.configFile];
  const user = async (args: readonly string[], line?: string): Promise<string> => {
    const outcome = await postern(
      ["user", ...args, ...configFile],
      line === undefined ? {} : { stdin: { data: `${line}\n` } },
    );
    assert.equal(outcome.code, 0, outcome.stderr);
    return outcome.stdout.toString();
  };
  await user(["add", "asked-new", "-p", "-g", "admins"], "first");
  assert.match(await user(["ls"]), /^asked-new: password, @admins$/m);
  assert.match(await user(["ls"]), /^asked-listed: password$/m);
  assertIn(await login("asked-new", { answers: ["first"] }));
  await user(["password", "asked-new"], "second");
  assertRefused(await login("asked-new", { answers: ["first"] }));
  assertIn(await login("asked-new", { answers: ["second"] }));
  await user(["rm", "asked-new"]);
  assertRefused(await login("asked-new", { answers: ["second"] }));
});

test("a file of users that is wrong lets nobody of it in, the others as before; the log says where", {
  skip,
}, async () => {
  const good = await readFile(users, "utf8");
  try {
    await writeFile(users, "people: {\n  ada: [\n");
    assertRefused(await login("asked-ada", { answers: [password] }));
    assertIn(await login("asked-listed", { answers: [password] }));
    const line = await world.gateway.waitForLog("complaint", ({ event }) => event === "users-ignored");
    assert.match(JSON.stringify(line), /users\.yaml:/);
  } finally {
    await writeFile(users, good);
  }
  assertIn(await login("asked-ada", { answers: [password] }));
});

test("no code and no secret is in log or audit", { skip }, async () => {
  const text = JSON.stringify(world.gateway.logs()) + (await readFile(audit, "utf8"));
  for (const { secret } of enrolled.values())
    assert.ok(!text.includes(new Base32({ buffer: Uint8Array.from(secret.reveal()).buffer }).base32));
  assert.ok(!text.includes(password));
});

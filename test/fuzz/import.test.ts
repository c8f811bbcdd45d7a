import { PosternError } from "#base";
import { parseConfig } from "#config";
import { type Imported, ImportInvalid, type ImportOptions, importPysshrp, importSshpiper } from "#import";
import { tempDir } from "#test/support/temp-dir";
import fc from "fast-check";
import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { stringify } from "yaml";

const numRuns = Number(process.env["FUZZ_RUNS"] ?? 150);
const golden = join(import.meta.dirname, "../../src/import/golden");
const hash =
  "$scrypt$ln=14,r=8,p=1$U29kaXVtQ2hsb3JpZGU$cCO9yzr9c0hGHAbNgf046/2o+7qQT44+qbVD9lRdofLVQylVYT8Pz2LUlwUkKpr55h6F3A1lHkDfzwF7RVdYhw";
const options: ImportOptions = { hash: async () => hash, stateDir: "state", besides: true, partial: true };

const samplesOf = (program: string, ending: string): string[] =>
  readdirSync(join(golden, program))
    .filter((name) => name.endsWith(ending))
    .map((name) => readFileSync(join(golden, program, name), "utf8"));

const folder = await tempDir();
after(() => folder[Symbol.asyncDispose]());
writeFileSync(folder.at("ca.pub"), "");

/** The invariant: a good configuration, or what is wrong, with its place; never anything else. */
async function survives(read: () => Promise<Imported>): Promise<void> {
  let imported: Imported;
  try {
    imported = await read();
  } catch (error) {
    assert.ok(error instanceof ImportInvalid && error instanceof PosternError, String(error));
    assert.equal(error.blame, "OPERATOR");
    assert.ok(error.problems.length > 0);
    return;
  }
  const kept = new Map(imported.files.map(({ path, content }) => [folder.at(path), content]));
  await parseConfig(imported.text, "<import>", folder.path, {
    // Any variable is set.
    environment: new Proxy({}, { get: () => "x" }),
    filesMustExist: false,
    read: async (path) => kept.get(path) ?? assert.fail(`no file ${path}`),
  });
}

async function pysshrp(text: string): Promise<void> {
  writeFileSync(folder.at("config.py"), text);
  await survives(() => importPysshrp(folder.at("config.py"), options));
}

async function sshpiper(text: string): Promise<void> {
  writeFileSync(folder.at("pipes.yaml"), text);
  await survives(() =>
    importSshpiper(folder.at("pipes.yaml"), { ...options, listen: ":2222", hostKey: undefined }),
  );
}

const cut = (samples: readonly string[], inserts: readonly string[]): fc.Arbitrary<string> =>
  fc
    .record({
      sample: fc.constantFrom(...samples),
      other: fc.constantFrom(...samples),
      from: fc.double({ min: 0, max: 1, noNaN: true }),
      to: fc.double({ min: 0, max: 1, noNaN: true }),
      insert: fc.oneof(fc.constantFrom("", ...inserts), fc.string({ maxLength: 5 })),
    })
    .map(
      ({ sample, other, from, to, insert }) =>
        sample.slice(0, from * sample.length) + insert + other.slice(to * other.length),
    );

test("any text is a configuration of pysshrp or an operator's error", async () => {
  const marks = [
    "\n",
    "'",
    '"""',
    "\\",
    "[",
    "}",
    "execfile('config.py')",
    "servers = ",
    "\0",
    "#",
    "u'\\u",
    "5L",
  ];
  const text = fc.oneof(
    cut(samplesOf("pysshrp", ".py"), marks),
    fc.string({ unit: "binary", maxLength: 100 }),
    fc
      .array(fc.constantFrom(...marks, "x", "=", ",", "(", ")", "r'a'", "{'a': 1}", " ", "-"), {
        maxLength: 30,
      })
      .map((words) => words.join("")),
  );
  await fc.assert(fc.asyncProperty(text, pysshrp), { numRuns });
});

/** Pieces of expressions and of templates, put together at random. */
const expression = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        "(",
        ")",
        "(?P<user>",
        "(?P<a>",
        "(?:",
        "|",
        "^",
        "$",
        "*",
        "+",
        "?",
        "{,2}",
        "{",
        "}",
        ".",
        "[",
        "]",
        "[^]a]",
        "[[:a]",
      ),
      fc.constantFrom(
        "\\",
        "\\d",
        "\\1",
        "\\Z",
        "\\e",
        "(?i)",
        "(?m)",
        "(?#x)",
        "(?=",
        "a",
        "web",
        "-",
        "${",
        "\\g<a>",
        "\\g<0>",
        "$1",
        "${user}",
        "$$",
      ),
      fc.string({ unit: "binary", maxLength: 3 }),
    ),
    { maxLength: 10 },
  )
  .map((parts) => parts.join(""));
const words = fc.oneof(
  expression,
  fc.constantFrom("a", "web.lan", "/etc/x", "", "$DOWNSTREAM_USER", "x/${UPSTREAM_USER}"),
);

test("any values in a server of pysshrp are a rule or an operator's error", async () => {
  // JSON's strings are Python's, with u before them.
  const quoted = words.map((text) => `u${JSON.stringify(text.toWellFormed()).replaceAll("\\/", "/")}`);
  const server = fc
    .record({ user: quoted, host: quoted, name: quoted, password: quoted, key: quoted, caret: fc.boolean() })
    .map(
      ({ user, host, name, password, key, caret }) =>
        `{'user': ${caret ? "'^' " : ""}${user}, 'upstream_host': 'web' ${host} '.lan', 'upstream_user': ${name}, 'password': ${password}, 'upstream_password': ${password}, 'upstream_key': ${key}},`,
    );
  const file = fc.array(server, { maxLength: 3 }).map((servers) => `servers = [${servers.join("\n")}]`);
  await fc.assert(fc.asyncProperty(file, pysshrp), { numRuns });
});

test("any text is a file of sshpiper's yaml plugin or an operator's error", async () => {
  const marks = ["\n", "\t", ": ", "- ", "{", "]", "&a ", "*a", "\0", "---\n", "<<: ", "from: ", "to: "];
  const text = fc.oneof(
    cut(samplesOf("sshpiper", ".yaml"), marks),
    fc.string({ unit: "binary", maxLength: 100 }),
  );
  await fc.assert(fc.asyncProperty(text, sshpiper), { numRuns });
});

test("any values in a pipe of sshpiper are a rule or an operator's error", async () => {
  const data = fc.oneof(
    words,
    words.map((text) => Buffer.from(text).toString("base64")),
  );
  const from = fc.record(
    {
      username: words,
      username_regex_match: fc.boolean(),
      groupname: words,
      authorized_keys: fc.oneof(words, fc.array(words, { maxLength: 2 })),
      authorized_keys_data: data,
      trusted_user_ca_keys: fc.constantFrom("ca.pub", "$HOME"),
      trusted_user_ca_keys_data: data,
    },
    { requiredKeys: ["username"] },
  );
  const to = fc.record(
    {
      host: fc.oneof(words, fc.constantFrom("h:22", "[::1]:2", "::1", "h")),
      username: words,
      password: words,
      private_key: words,
      private_key_data: data,
      known_hosts: words,
      known_hosts_data: data,
      ignore_hostkey: fc.boolean(),
    },
    { requiredKeys: ["host"] },
  );
  const file = fc
    .array(fc.record({ from: fc.array(from, { maxLength: 3 }), to }), { maxLength: 3 })
    .map((pipes) => stringify({ version: "1.0", pipes }));
  await fc.assert(fc.asyncProperty(file, sshpiper), { numRuns });
});

test("a name of marks that our own loader knows, in a path that is made of it", async () => {
  for (const username of ["${", "$", "{", "a$", "${env:HOME}"]) {
    for (const path of [
      "x/${UPSTREAM_USER}",
      "x/$$UPSTREAM_USER",
      "$UPSTREAM_USER/{}",
      "x$${HOME}",
      "$${DOWNSTREAM_USER}",
    ]) {
      const from = [{ username: "a", authorized_keys: [path] }];
      const pipes = [{ from, to: { host: "h:22", username, private_key: path } }];
      await sshpiper(stringify({ version: "1.0", pipes }));
    }
  }
});

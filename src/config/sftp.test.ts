import assert from "node:assert/strict";
import { test } from "node:test";
import type { Policy } from "#contract";
import { parseConfig } from "./load.ts";

const rule = (more: string): string => `
listen: [":2222"]
rules:
  - name: files
    match: { userPattern: "(.+)" }
    login: [{ kind: password, check: upstream }]
    upstream: { host: files.example.lan, credentials: [{ kind: client-password }], hostKey: { dangerouslyAcceptAny: true } }
    ${more}
`;

const load = async (more: string): ReturnType<typeof parseConfig> =>
  await parseConfig(rule(more), "postern.yaml", "/", { environment: {}, filesMustExist: false });

const refused = async (more: string, words: RegExp): Promise<void> => {
  await assert.rejects(load(more), words);
};

test("rights are words, or a list", async () => {
  const rightsOf = async (text: string): Promise<readonly string[] | undefined> =>
    (await load(`sftp: { rights: ${text} }`)).config.rules[0]?.sftp?.rights;
  assert.deepEqual(await rightsOf("read-only"), ["list", "read"]);
  assert.deepEqual(await rightsOf("upload-only"), ["create", "mkdir"]);
  assert.deepEqual(await rightsOf("none"), []);
  assert.deepEqual(await rightsOf("[read, link]"), ["read", "link"]);
  assert.equal((await rightsOf("all"))?.length, 10);
  await refused("sftp: { rights: readonly }", /did you mean "read-only"/);
});

test("whoever is confined has SFTP and nothing else, unless the rule says so", async () => {
  const policyOf = async (more: string): Promise<Policy | undefined> =>
    (await load(more)).config.rules[0]?.policy;
  assert.equal(await policyOf("sftp: { record: true }"), undefined);
  const own = await policyOf("sftp: { root: /srv }");
  assert.deepEqual(
    [own?.sftp, own?.shell, own?.exec, own?.scp, own?.forwardLocal, own?.other],
    [true, false, false, false, false, false],
  );
  // scp of today is SFTP; its old protocol knows no folder.
  const scp = await policyOf("sftp: { root: /srv }\n    policy: { scp: true, exec: [report] }");
  assert.deepEqual([scp?.sftp, scp?.scp, scp?.exec], [true, false, ["report"]]);
  await refused("sftp: { root: /srv }\n    policy: { shell: true }", /the policy does not allow sftp/);
});

test("patterns and roots that cannot be meant are refused", async () => {
  await refused('sftp: { hide: ["a/b"] }', /begins with \//);
  await refused('sftp: { hide: ["/a/../b"] }', /without \. and \.\./);
  await refused('sftp: { root: "/srv/{nobody}" }', /uses \{nobody\}/);
  await refused("sftp: { maxFileBytes: lots }", /is no size/);
  assert.equal((await load('sftp: { root: "/srv/{1}" }')).config.rules[0]?.sftp?.confining, true);
});

test("a record without an audit is warned of", async () => {
  const { warnings } = await load("sftp: { record: true }");
  assert.ok(warnings.some(({ text }) => text.includes("records nothing: there is no audit")));
  const audited = await load("sftp: { record: true }\naudit: [{ kind: jsonl, file: audit.jsonl }]");
  assert.ok(!audited.warnings.some(({ text }) => text.includes("records nothing")));
});

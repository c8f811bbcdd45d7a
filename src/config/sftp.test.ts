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

const tree = (mounts: string, more = ""): string => `
listen: [":2222"]
rules:
  - name: tree
    match: { userPattern: "(?P<who>.+)" }
    login: [{ kind: password, hashes: ["$2b$12$abcdefghijklmnopqrstuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuu"] }]
    upstream: { user: files, credentials: [{ kind: none }], hostKey: { dangerouslyAcceptAny: true } }
    sftp:
      mounts: ${mounts}
    ${more}
`;
const loadTree = async (mounts: string, more?: string): ReturnType<typeof parseConfig> =>
  await parseConfig(tree(mounts, more), "postern.yaml", "/", { environment: {}, filesMustExist: false });

test("mounts have the rule's upstream in common, as far as they say nothing else", async () => {
  const { config } = await loadTree(`
      - { at: /a, root: /srv, upstream: { host: a.example.lan } }
      - { at: "/b/{who}", upstream: { addresses: ["b.example.lan:2222"], user: "{who}", credentials: [{ kind: none }], connectTimeoutSeconds: 3 } }`);
  const [rule] = config.rules;
  assert.deepEqual(
    [rule?.serve?.kind, rule?.upstream.addresses.length, rule?.policy?.sftp],
    ["files", 0, true],
  );
  const told = rule?.sftp?.mounts?.map(({ at, root, upstream }) => [
    at.text,
    root?.text,
    ...upstream.addresses.map(({ host, port }) => `${host.text}:${port.text}`),
    upstream.user.text,
    upstream.hostKey.dangerouslyAcceptAny,
    upstream.connectTimeoutMs,
  ]);
  assert.deepEqual(told, [
    ["/a", "/srv", "a.example.lan:22", "files", true, 10_000],
    ["/b/{who}", undefined, "b.example.lan:2222", "{who}", true, 3000],
  ]);
});

test("mounts that cannot be are refused, each in its own words", async () => {
  const host = "upstream: { host: a.example.lan }";
  for (const [mounts, words] of [
    ["[]", /sftp\.mounts/],
    [`[{ at: a, ${host} }]`, /expected an absolute path below \//],
    [`[{ at: /, ${host} }]`, /expected an absolute path below \//],
    [`[{ at: /a/../b, ${host} }]`, /expected an absolute path below \//],
    ["[{ at: /a }]", /sftp\.mounts\[0\]\.upstream: says no place/],
    [`[{ at: /a, upstream: { target: none } }]`, /no target called "none"/],
    [`[{ at: /a, upstream: { host: "{who}" } }]`, /lets the client name any host/],
    [`[{ at: "/a/{nobody}", ${host} }]`, /uses \{nobody\}/],
    [
      `[{ at: /a, upstream: { host: a, credentials: [{ kind: client-password }] } }]`,
      /client-password needs the client/,
    ],
  ] as const)
    await assert.rejects(loadTree(mounts), words, mounts);
  const one = `[{ at: /a, ${host} }]`;
  await assert.rejects(
    loadTree(one, "policy: { sftp: true, shell: true }"),
    /policy\.shell: has no effect with mounts/,
  );
  await refused(`sftp: { mounts: ${one} }`, /client-password needs the client/);
  await refused(`sftp: { root: /srv, mounts: ${one} }`, /root: has no effect with mounts/);
});

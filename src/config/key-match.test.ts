import assert from "node:assert/strict";
import { test } from "node:test";
import { writeFileSync } from "node:fs";
import { tempDir } from "#test/support/temp-dir";
import { ConfigInvalid } from "./errors.ts";
import { loadConfig } from "./load.ts";
import { formatProblem } from "./problem.ts";
import type { RuleConfig } from "./rule.ts";

const line = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBHm3PY7IVPjrxlYT6wIsXZRkaqTTKm6zbOD7jVX4fTf ada";
const fingerprint = "SHA256:uNiVztksCsDhcc0u9e8BrNwzT1XtI7XwBhHDBpa0ZtY";
const matched = { kind: "publickey", matched: true };
const upstream = {
  host: "a.lan",
  credentials: [{ kind: "password", password: "x" }],
  hostKey: { fingerprints: [fingerprint] },
};

interface Loaded {
  readonly rules: readonly RuleConfig[];
  /** Problems, or warnings, without their places. */
  readonly said: readonly string[];
}

/** What comes of rules; those that say nothing else are complete. */
async function load(...rules: readonly object[]): Promise<Loaded> {
  await using folder = await tempDir();
  const whole = rules.map((rule, at) => ({ name: `rule${at}`, login: [matched], upstream, ...rule }));
  writeFileSync(folder.at("key"), "");
  const text = JSON.stringify({ listen: [":0"], hostKeys: ["key"], rules: whole });
  writeFileSync(folder.at("postern.yaml"), text, { mode: 0o600 });
  try {
    const { config, warnings } = await loadConfig(folder.at("postern.yaml"), { environment: {} });
    return { rules: config.rules, said: warnings.map(({ text: said }) => said) };
  } catch (error) {
    if (!(error instanceof ConfigInvalid)) throw error;
    return { rules: [], said: error.problems.map((problem) => formatProblem(problem)) };
  }
}

test("conditions on keys are read", async () => {
  const certificate = { authorities: [line], principals: ["staff"], keyId: "(?<person>[a-z]+)@.*" };
  const { rules, said } = await load(
    { match: { key: [line] } },
    { match: { user: "git", fingerprint: [fingerprint] } },
    { match: { certificate }, upstream: { ...upstream, user: "{person}" } },
  );
  assert.deepEqual(said, []);
  assert.deepEqual(rules[0]?.match, { keys: [line] });
  assert.deepEqual(rules[1]?.match, { user: "git", fingerprints: [fingerprint] });
  assert.equal(rules[2]?.match.certificate?.keyId?.source, certificate.keyId);
});

const wrong: readonly [string, object, RegExp][] = [
  [
    "two at once",
    { match: { key: [line], fingerprint: [fingerprint] } },
    /stands beside key; give one of them/,
  ],
  ["no key", { match: { key: ["nonsense"] } }, /expected a public key on one line/],
  ["no fingerprint", { match: { fingerprint: ["MD5:00"] } }, /expected SHA256:/],
  ["a certificate of nobody's", { match: { certificate: { principals: ["x"] } } }, /authorities/],
  [
    "a capture that is taken",
    { match: { userPattern: "(?<who>.*)", certificate: { authorities: [line], keyId: "(?<who>.*)" } } },
    /names a capture \{who\}, which is taken already/,
  ],
  [
    "matched without a condition",
    { match: { user: "git" } },
    /needs key, fingerprint or certificate in match/,
  ],
  [
    "a password first",
    { match: { key: [line] }, login: [{ kind: "password", check: "upstream" }] },
    /cannot begin a login here/,
  ],
  [
    "a file of the upstream that the client alone could read",
    {
      login: [{ kind: "publickey", upstreamFile: "keys" }],
      upstream: { ...upstream, credentials: [{ kind: "client-password" }, { kind: "agent" }] },
    },
    /list a credential of the gateway's own/,
  ],
  [
    "a file of no upstream",
    {
      serve: "jump",
      targets: ["*"],
      upstream: undefined,
      login: [{ kind: "publickey", upstreamFile: "keys" }],
    },
    /there is no upstream to read it from/,
  ],
  [
    "a list of revoked keys that is not there",
    { revoked: ["nowhere"], match: { key: [line] } },
    /there is no file/,
  ],
];
for (const [what, rule, problem] of wrong) {
  test(`refused: ${what}`, async () => {
    const { said } = await load(rule);
    assert.match(said.join("\n"), problem);
  });
}

test("a rule that asks for a key leaves something for the rules below it", async () => {
  const login = [{ kind: "publickey", keys: [line] }];
  const { said } = await load({ match: { key: [line] } }, { match: { user: "git" }, login }, { login });
  assert.deepEqual(said, []);
  const shadowed = await load({ login }, { match: { key: [line] } });
  assert.match(shadowed.said.join("\n"), /never matches/);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { parseConfig } from "./load.ts";
import { faultInSteps, loginSteps, requireSchema } from "./login-steps.ts";

const kinds = (...list: string[]): { kind: string; at: number }[] => list.map((kind, at) => ({ kind, at }));

test("without require, any of what is listed; with it, each in turn, all of a kind together", () => {
  const login = kinds("publickey", "password", "publickey", "totp");
  const steps = (required: unknown): string[] =>
    loginSteps(
      login,
      ({ kind }) => kind,
      required === undefined ? undefined : requireSchema.parse(required),
    ).map((step) => step.map(({ kind, at }) => `${kind}${at}`).join(" "));
  assert.deepEqual(steps(undefined), ["publickey0 password1 publickey2 totp3"]);
  assert.deepEqual(steps(["publickey", "password", "totp"]), ["publickey0 publickey2", "password1", "totp3"]);
  assert.deepEqual(steps([["password", "publickey"], "totp"]), ["publickey0 password1 publickey2", "totp3"]);
});

test("steps that cannot be meant are refused in words", () => {
  const fault = (login: string[], required?: unknown): string => {
    const found = faultInSteps(
      kinds(...login),
      required === undefined ? undefined : requireSchema.parse(required),
    );
    return found === undefined ? "" : `${found.key}: ${found.message}`;
  };
  assert.equal(fault(["publickey", "password"]), "");
  assert.equal(fault(["publickey", "totp"], ["publickey", "totp"]), "");
  assert.equal(fault(["publickey", "password", "totp"], [["publickey", "password"], "totp"]), "");
  assert.match(
    fault(["publickey"], ["publickey", "totp"]),
    /^require: "totp" is no kind listed under login; there is publickey/,
  );
  assert.match(
    fault(["publickey", "totp"], ["publickey", "totp", "publickey"]),
    /^require: names "publickey" twice/,
  );
  assert.match(fault(["publickey", "password"], ["publickey"]), /^require: does not name "password"/);
  // Any one of them would do: a code of six digits is no proof by itself.
  assert.match(fault(["publickey", "totp"]), /^login: a code alone would do/);
  assert.match(fault(["totp"]), /^login: a code alone would do/);
  assert.match(fault(["publickey", "totp"], [["publickey", "totp"]]), /^require: a code alone would do/);
});

test("an empty require is refused", () => {
  for (const wrong of [[], [[]], [""], "totp"]) assert.equal(requireSchema.safeParse(wrong).success, false);
});

test("logins of users, where there are none, are warned of", async () => {
  const warned = async (login: string, users = ""): Promise<number> => {
    const text = `
listen: [":2222"]
${users}
rules:
  - name: ada
    match: { user: ada }
    login: [${login}]
    ${login.includes("totp") ? "require: [password, totp]" : ""}
    upstream: { host: a.lan, credentials: [{ kind: none }], hostKey: { dangerouslyAcceptAny: true } }
`;
    const options = { environment: {}, filesMustExist: false };
    const { warnings } = await parseConfig(text, "postern.yaml", "/", options);
    return warnings.filter((each) => each.text.includes("there are no users")).length;
  };
  assert.equal(await warned("{ kind: password, users: {} }"), 1);
  assert.equal(await warned("{ kind: password, users: {} }, { kind: totp }"), 2);
  assert.equal(await warned("{ kind: password, dangerouslyPlain: [x] }"), 0);
  assert.equal(await warned("{ kind: publickey, users: {} }", "users: { file: users.yaml }"), 0);
  assert.equal(await warned("{ kind: publickey, users: {} }", "users: { people: { ada: {} } }"), 0);
});

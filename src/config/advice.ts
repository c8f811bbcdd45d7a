import type { YamlDocument } from "./document.ts";
import { valueAt } from "./issue.ts";
import { asksForKey } from "./key-match.ts";
import type { Problem } from "./problem.ts";
import { type RuleConfig, ruleSchema } from "./rule.ts";
import { metaOf, schemaAt } from "./schema-walk.ts";

/** A rule and where it stands: number `at` of the `rules` of a document. */
export interface PlacedRule {
  readonly rule: Omit<RuleConfig, "place">;
  readonly document: YamlDocument;
  readonly at: number;
}

/** Pairs of rules looked at, so that thousands of rules do not hold up the start. */
const maxPairs = 1_000_000;

/** What is allowed, but unwise: rules that never match, checks that were turned off. */
export function adviceOn(rules: readonly PlacedRule[]): Problem[] {
  return [...shadowed(rules), ...rules.flatMap((rule) => [...dangerous(rule)])];
}

function* shadowed(rules: readonly PlacedRule[]): Generator<Problem> {
  const certain: PlacedRule[] = [];
  let pairs = 0;
  for (const placed of rules) {
    const { rule, document, at } = placed;
    const above = certain.find((earlier) => ++pairs <= maxPairs && takesAll(earlier.rule, rule));
    if (above !== undefined) {
      const where = `${above.document.file}:${above.document.line(["rules", above.at])}`;
      const text = `never matches: rule "${above.rule.name}" at ${where} takes all that it would`;
      yield document.problem(["rules", at], text, { severity: "warning" });
    }
    const { from, to, notBeforeMs, notAfterMs } = rule.match;
    const always = [from, to, notBeforeMs, notAfterMs].every((each) => each === undefined);
    if (always && !asksForKey(rule.match)) certain.push(placed);
  }
}

/** Whether an earlier rule without conditions of place and time matches every name that the other does, as far as is easily known. */
function takesAll({ match }: PlacedRule["rule"], { match: other }: PlacedRule["rule"]): boolean {
  const { targets } = match;
  if ((targets === undefined) !== (other.targets === undefined)) return false;
  if (
    targets !== undefined &&
    !targets.includes("*") &&
    other.targets?.every((each) => targets.includes(each)) !== true
  )
    return false;
  if (match.user === undefined && match.userPattern === undefined) return true;
  if (other.user !== undefined)
    return match.user === other.user || match.userPattern?.match(other.user) !== undefined;
  return other.userPattern !== undefined && match.userPattern?.source === other.userPattern.source;
}

/** Every key that begins with `dangerously` and is set, and a webhook that may be down. */
function* dangerous({ rule, document, at }: PlacedRule): Generator<Problem> {
  for (const path of keysBelow(valueAt(document.value, ["rules", at]), ["rules", at])) {
    const key = path.at(-1);
    const value = valueAt(document.value, path);
    const onKey = typeof key === "string" && key.startsWith("dangerously") && value !== false;
    if (!onKey && !(key === "whenDown" && value === "dangerously-allow")) continue;
    const text = `weakens the rule "${rule.name}" on purpose`;
    yield document.problem(path, text, { severity: "warning", onKey });
  }
}

/** Logins of users, where there are none. */
export function userless(rules: readonly PlacedRule[]): Problem[] {
  return rules.flatMap(({ rule, document, at }) =>
    rule.login.flatMap((login, step) => {
      if (!("users" in login) || login.users === undefined) return [];
      const text = "lets nobody in: there are no users; list them under users";
      return [document.problem(["rules", at, "login", step], text, { severity: "warning" })];
    }),
  );
}

/** Files to be recorded, where there is no audit to record them in. */
export function unrecorded(rules: readonly PlacedRule[]): Problem[] {
  return rules.flatMap(({ rule, document, at }) => {
    if (rule.sftp?.record !== true) return [];
    const text = "records nothing: there is no audit";
    return [document.problem(["rules", at, "sftp", "record"], text, { severity: "warning" })];
  });
}

/** Key paths of secrets that the file itself holds. */
export function secretsInClear(document: YamlDocument, at: number): (readonly PropertyKey[])[] {
  const rule = valueAt(document.value, ["rules", at]);
  return keysBelow(rule, []).flatMap((path) => {
    const schema = schemaAt(ruleSchema, path, rule);
    const whole = ["rules", at, ...path];
    return schema !== undefined && metaOf(schema)["x-form"] === "secret" && !document.isForeign(whole)
      ? [whole]
      : [];
  });
}

/** The same of the users' secrets for codes. */
export function usersInClear(document: YamlDocument): (readonly PropertyKey[])[] {
  const people = ["users", "people"];
  return Object.keys(valueAt(document.value, people) ?? {}).flatMap((name) => {
    const totp = [...people, name, "totp"];
    const secret = typeof valueAt(document.value, totp) === "string" ? totp : [...totp, "secret"];
    return valueAt(document.value, secret) === undefined || document.isForeign(secret) ? [] : [secret];
  });
}

function keysBelow(value: unknown, path: readonly PropertyKey[]): (readonly PropertyKey[])[] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => {
    const below = [...path, Array.isArray(value) ? Number(key) : key];
    return [below, ...keysBelow(inner, below)];
  });
}

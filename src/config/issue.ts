import type * as z from "zod";
import type { YamlDocument } from "./document.ts";
import { nearest } from "./nearest.ts";
import type { Problem } from "./problem.ts";
import { pathAsWritten } from "./rule.ts";
import { keysOf, metaOf, type Schema, schemaAt } from "./schema-walk.ts";

const formNames: Readonly<Record<string, string>> = {
  string: "text",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
  array: "a list",
  object: "a map of keys",
};

/** What zod found wrong, told to an operator: place, key path, what is wrong, what would be right. */
export function problemsOf(issue: z.core.$ZodIssue, schema: Schema, document: YamlDocument): Problem[] {
  const path = pathAsWritten(issue.path, (written) => document.has(written));
  if (issue.code === "unrecognized_keys") {
    const known = keysOf(schemaAt(schema, path, document.value) ?? schema) ?? [];
    return issue.keys.map((key) => document.problem([...path, key], unknownKey(key, known), { onKey: true }));
  }
  if (document.isBroken(path)) return [];
  const inner = branchOf(issue);
  if (inner !== undefined) {
    return inner.flatMap((each) =>
      problemsOf({ ...each, path: [...issue.path, ...each.path] }, schema, document),
    );
  }
  const found = valueAt(document.value, path);
  const text =
    issueText(issue, found, document.isForeign(path)) +
    example(issue, schemaAt(schema, path, document.value));
  return [document.problem(path, text)];
}

/** Of a value that may have several forms: what is wrong with it in the form that it was given in. */
function branchOf(issue: z.core.$ZodIssue): readonly z.core.$ZodIssue[] | undefined {
  if (issue.code !== "invalid_union" || issue.discriminator !== undefined) return undefined;
  return issue.errors.find(
    (each) => !each.some(({ code, path }) => code === "invalid_type" && path.length === 0),
  );
}

function unknownKey(key: string, known: readonly string[]): string {
  const meant = nearest(key, known);
  return `unknown key; ${meant === undefined ? `known here: ${known.join(", ")}` : `did you mean "${meant}"?`}`;
}

function issueText(issue: z.core.$ZodIssue, value: unknown, foreign: boolean): string {
  // A message of a shape quotes what it was given, in whole or in part.
  if (issue.code === "custom" && foreign)
    return "cannot be used as it is; it comes from outside this file, so it is not shown";
  if (value === undefined && issue.code !== "custom") {
    const choices = choicesOf(issue);
    return choices === undefined ? "is missing" : `is missing; give ${listed(choices)}`;
  }
  if (value === null && issue.code !== "custom") return "has no value";
  const choices = choicesOf(issue);
  if (choices !== undefined) {
    const shown = foreign || typeof value === "object" ? "the value" : JSON.stringify(value);
    const meant = typeof value === "string" ? nearest(value, choices) : undefined;
    return `${shown} is not ${listed(choices)}${meant === undefined || foreign ? "" : `; did you mean "${meant}"?`}`;
  }
  switch (issue.code) {
    case "invalid_type":
      return issue.message.startsWith("expected")
        ? issue.message
        : `expected ${formNames[issue.expected] ?? issue.expected}, found ${formOf(value)}`;
    case "too_small":
      return sizeText("at least", Number(issue.minimum), issue.origin);
    case "too_big":
      return sizeText("at most", Number(issue.maximum), issue.origin);
    default:
      return issue.message;
  }
}

function choicesOf(issue: z.core.$ZodIssue): readonly string[] | undefined {
  if (issue.code === "invalid_value") return issue.values.map(String);
  if (issue.code !== "invalid_union" || issue.discriminator === undefined) return undefined;
  return (issue as { readonly options?: readonly unknown[] }).options
    ?.filter((option) => option !== undefined)
    .map(String);
}

function listed(choices: readonly string[]): string {
  return choices.length === 1 ? `${choices[0]}` : `one of ${choices.join(", ")}`;
}

function sizeText(bound: string, limit: number, origin: string): string {
  if (origin !== "string" && origin !== "array") return `must be ${bound} ${limit}`;
  if (bound === "at least" && limit === 1) return "must not be empty";
  return `must have ${bound} ${limit} ${origin === "string" ? "characters" : "entries"}`;
}

function formOf(value: unknown): string {
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "a map of keys";
  return typeof value === "string" ? "text" : `the ${typeof value} ${JSON.stringify(value)}`;
}

/** What would be right, where the message itself does not say so. */
function example(issue: z.core.$ZodIssue, schema: Schema | undefined): string {
  if (schema === undefined || choicesOf(issue) !== undefined) return "";
  if (issue.code === "custom" || issue.code === "too_big" || issue.message.startsWith("expected")) return "";
  const examples = metaOf(schema)["examples"];
  if (!Array.isArray(examples) || examples.length === 0) return "";
  return `; for example ${formatExample(examples[0])}`;
}

/** As YAML's flow style has it. */
export function formatExample(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(formatExample).join(", ")}]`;
  if (typeof value !== "string") return JSON.stringify(value);
  return /^[A-Za-z0-9/][\w./@-]*(?::\/[\w./-]+)?$/.test(value) ? value : JSON.stringify(value);
}

export function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  let found = value;
  for (const step of path) {
    if (typeof found !== "object" || found === null) return undefined;
    found = (found as Readonly<Record<PropertyKey, unknown>>)[step];
  }
  return found;
}

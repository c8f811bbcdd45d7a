import { auditKinds } from "#audit";
import { authKinds } from "#auth";
import { blameOf, blames, type ErrorCode, type ErrorRow, formatBytes, formatSeconds } from "#base";
import { credentialKinds } from "#credential";
import * as z from "zod";
import { type FixedLimit, fixedLimits } from "./fixed-limits.ts";
import { formatExample } from "./issue.ts";
import { type LimitRow, limitRows } from "./limits.ts";
import { listenFields } from "./listen.ts";
import { ruleSchema } from "./rule.ts";
import { mainSchema, restartKeys } from "./schema.ts";
import { bare, metaOf, type Schema } from "./schema-walk.ts";
import { mountSchema } from "./sftp.ts";
import { spliceRuleSchema, targetSchema } from "./target.ts";
import { blameTexts, configIntroduction, forms, generatedBy, limitsIntroduction } from "./docs-text.ts";

/** docs/config.md */
export function configPage(): string {
  const main = Object.entries(shapeOf(mainSchema));
  const top = main.filter(([name]) => !["rules", "targets", "limits"].includes(name));
  return page([
    `# Configuration\n\n${generatedBy}`,
    configIntroduction,
    "## Keys of the file",
    table(
      ["key", "form", "default", "meaning"],
      [
        ...top.flatMap(([name, schema]) => rowsOf(name, schema)),
        [
          "`limits`",
          "map",
          "",
          "What all clients together, one source and one session may use: [limits.md](limits.md).",
        ],
        [
          "`targets`",
          "list of targets",
          "none",
          metaOf(shapeOf(mainSchema)["targets"] ?? mainSchema)["description"] as string,
        ],
        [
          "`rules`",
          "list of rules",
          "",
          `${metaOf(shapeOf(mainSchema)["rules"] ?? mainSchema)["description"] as string} See below.`,
        ],
      ],
    ),
    `A change of ${listed(restartKeys)} needs a restart; everything else takes effect at a reload.`,
    "## Keys of a listener",
    table(
      ["key", "form", "default", "meaning"],
      Object.entries(shapeOf(listenFields)).flatMap(([name, schema]) => rowsOf(name, schema)),
    ),
    "## Keys of a rule",
    table(
      ["key", "form", "default", "meaning"],
      Object.entries(shapeOf(ruleSchema)).flatMap(([name, schema]) => rowsOf(name, schema)),
    ),
    "## Keys of a rule of `mode: splice`",
    table(
      ["key", "form", "default", "meaning"],
      Object.entries(shapeOf(spliceRuleSchema)).flatMap(([name, schema]) => rowsOf(name, schema)),
    ),
    "## Keys of a mount: the entries of `sftp.mounts`",
    table(
      ["key", "form", "default", "meaning"],
      Object.entries(shapeOf(mountSchema)).flatMap(([name, schema]) => rowsOf(name, schema)),
    ),
    "## Keys of a target",
    table(
      ["key", "form", "default", "meaning"],
      Object.entries(shapeOf(targetSchema)).flatMap(([name, schema]) => rowsOf(name, schema)),
    ),
    "## Ways to log in: the kinds of `login`",
    ...authKinds.map(kindSection),
    "## Ways to log in upstream: the kinds of `upstream.credentials`",
    ...credentialKinds.map(kindSection),
    "## Where the audit goes: the kinds of `audit`",
    ...auditKinds.map(kindSection),
    "## How values are written",
    table(
      ["form", "written"],
      Object.entries(forms).map(([form, text]) => [form, text]),
    ),
  ]);
}

/** docs/limits.md */
export function limitsPage(): string {
  return page([
    `# Limits\n\n${generatedBy}`,
    limitsIntroduction,
    table(
      ["key under `limits`", "default", "bounds", "meaning", "reason", "precedent"],
      Object.entries(limitRows).map(([name, row]) => [
        `\`${name}\``,
        quantity(row.value, row),
        boundsOf(row),
        row.about,
        row.reason,
        row.precedent,
      ]),
    ),
    "## Limits that cannot be set",
    table(
      ["limit", "value", "meaning", "precedent"],
      fixedLimits.map(({ constant, value, unit, about, precedent }) => [
        `\`${constant.slice(constant.indexOf(":") + 1)}\``,
        fixedQuantity(value, unit),
        about,
        precedent,
      ]),
    ),
  ]);
}

/** docs/errors.md, of the rows of all rooms that are loaded. */
export function errorsPage(rows: ReadonlyMap<ErrorCode, ErrorRow>): string {
  const codes = [...rows.keys()].sort();
  const sections = blames.flatMap((blame) => {
    const own = codes.filter((code) => blameOf(code) === blame);
    const lines = own.map((code) => [
      `\`${code}\``,
      rows.get(code)?.operator ?? "",
      rows.get(code)?.user ?? "",
    ]);
    return [
      `## ${blame}_\n\n${blameTexts[blame]}`,
      table(["code", "log", "told to the person at the client"], lines),
    ];
  });
  return page([
    `# Errors\n\n${generatedBy}`,
    "Every error has a code. Its first word says who is to blame; only the text in the last column ever leaves the gateway.",
    ...sections,
  ]);
}

/** docs/config.schema.json: JSON Schema for editors. */
export function configJsonSchema(): string {
  const schema = z.toJSONSchema(mainSchema, {
    target: "draft-7",
    io: "input",
    unrepresentable: "any",
    override: ({ jsonSchema, zodSchema }) => {
      const { type } = jsonSchema;
      const meta = metaOf(zodSchema);
      if (meta["x-form"] === "path, or list of paths") {
        jsonSchema.anyOf = [{ type: "string" }, { type: "array", items: { type: "string" }, minItems: 1 }];
      } else if (type === "integer" || type === "number" || type === "boolean") {
        // A number or a truth value may come from outside, as text.
        const { type: _, minimum, maximum, const: only, ...rest } = jsonSchema;
        const bounds = Object.entries({ minimum, maximum, const: only }).filter(
          ([, value]) => value !== undefined && Math.abs(Number(value)) !== Number.MAX_SAFE_INTEGER,
        );
        for (const key of Object.keys(jsonSchema)) delete (jsonSchema as Record<string, unknown>)[key];
        Object.assign(jsonSchema, rest, {
          anyOf: [
            { type, ...Object.fromEntries(bounds) },
            { type: "string", pattern: "^\\$\\{(env|file):.+\\}$" },
          ],
        });
      }
    },
  });
  return `${JSON.stringify({ ...schema, title: "Postern's configuration file" }, undefined, 2)}\n`;
}

interface KindText {
  readonly kind: string;
  readonly summary: string;
  readonly schema: Schema;
}

function kindSection({ kind, summary, schema }: KindText): string {
  const rows = Object.entries(shapeOf(schema))
    .filter(([name]) => name !== "kind")
    .flatMap(([name, field]) => rowsOf(name, field));
  const heading = `### \`kind: ${kind}\`\n\n${summary}`;
  return rows.length === 0 ? heading : `${heading}\n\n${table(["key", "form", "default", "meaning"], rows)}`;
}

/** One row for a field, or one for each key of a map in it. */
function rowsOf(name: string, schema: Schema): string[][] {
  const own = [`\`${name}\``, formOf(schema), defaultOf(schema), meaningOf(schema)];
  const form = bare(schema);
  if (form instanceof z.ZodRecord) {
    const inner = Object.entries(shapeOf(form.valueType));
    return [own, ...inner.flatMap(([key, field]) => rowsOf(`${name}.NAME.${key}`, field))];
  }
  if (!(form instanceof z.ZodObject)) return [own];
  return [
    own,
    ...Object.entries(form.shape).flatMap(([key, inner]) => rowsOf(`${name}.${key}`, inner as Schema)),
  ];
}

function shapeOf(schema: Schema): Readonly<Record<string, Schema>> {
  const form = bare(schema);
  return form instanceof z.ZodObject ? form.shape : {};
}

function formOf(schema: Schema): string {
  const named = metaOf(schema)["x-form"] ?? innerForm(schema);
  if (typeof named === "string") return named;
  const form = bare(schema);
  if (form instanceof z.ZodRecord) return "map by name";
  if (form instanceof z.ZodEnum) return form.options.map((option) => `\`${option}\``).join(", ");
  if (form instanceof z.ZodLiteral) return [...form.values].map((value) => `\`${String(value)}\``).join(", ");
  if (form instanceof z.ZodBoolean) return "true or false";
  if (form instanceof z.ZodObject) return "map";
  if (form instanceof z.ZodArray) {
    const element: Schema = form.element;
    if (bare(element) instanceof z.ZodUnion) return "list of kinds";
    return bare(element) instanceof z.ZodEnum ? "list of names" : `list: ${formOf(element)}`;
  }
  return "text";
}

/** The form that a shape named, below what wraps it. */
function innerForm(schema: Schema): unknown {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault) {
    return metaOf(schema.unwrap())["x-form"] ?? innerForm(schema.unwrap());
  }
  return undefined;
}

function defaultOf(schema: Schema): string {
  if (schema instanceof z.ZodOptional) return "none";
  if (!(schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault)) return "required";
  const { defaultValue } = schema.def;
  const form = formOf(schema);
  if (typeof defaultValue === "number" && form === "duration") return `\`${formatSeconds(defaultValue)}\``;
  if (typeof defaultValue === "object" && defaultValue !== null && Object.keys(defaultValue).length === 0)
    return "";
  if (Array.isArray(defaultValue))
    return defaultValue.length === 0 ? "none" : defaultValue.map((value) => `\`${value}\``).join(", ");
  return `\`${formatExample(defaultValue)}\``;
}

function meaningOf(schema: Schema): string {
  const { description, examples } = metaOf(schema);
  const text = typeof description === "string" ? description : "";
  // Beside a default, an example says nothing new.
  if (defaultOf(schema).startsWith("`") || !Array.isArray(examples) || examples.length === 0) return text;
  return `${text} Example: \`${formatExample(examples[0])}\`.`;
}

function quantity(value: number, { unit }: LimitRow): string {
  if (unit === "seconds") return `\`${formatSeconds(value)}\``;
  return unit === "bytes" ? `\`${formatBytes(value)}\`` : `\`${value}\``;
}

function fixedQuantity(value: number, unit: FixedLimit["unit"]): string {
  if (unit === "ms") return `\`${formatSeconds(value / 1000)}\``;
  return unit === "bytes" ? `\`${formatBytes(value)}\`` : `\`${value}\``;
}

function boundsOf(row: LimitRow): string {
  const from = row.min === undefined ? "" : quantity(row.min, row);
  return row.max === undefined ? `${from} …` : `${from} … ${quantity(row.max, row)}`;
}

function listed(names: readonly string[]): string {
  const quoted = names.map((name) => `\`${name}\``);
  return `${quoted.slice(0, -1).join(", ")} or ${quoted.at(-1)}`;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.map(cell).join(" | ")} |`;
  return [line(head), `|${head.map(() => "---|").join("")}`, ...rows.map(line)].join("\n");
}

function cell(text: string): string {
  return text.replaceAll("|", "\\|").replaceAll("\n", " ");
}

function page(parts: readonly string[]): string {
  return `${parts.join("\n\n")}\n`;
}

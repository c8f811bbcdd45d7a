import * as z from "zod";

/** A schema as zod keeps it, as far as walking needs it. */
export type Schema = z.core.$ZodType;

/** Takes off what wraps a schema (optional, default, a transform after it) until its form shows. */
export function bare(schema: Schema): Schema {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodNullable || schema instanceof z.ZodReadonly) {
    return bare(schema.unwrap());
  }
  if (schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault) return bare(schema.unwrap());
  if (schema instanceof z.ZodPipe) return bare(schema.in);
  return schema;
}

/** The keys that an object schema has; undefined if it is none. */
export function keysOf(schema: Schema): string[] | undefined {
  const form = bare(schema);
  return form instanceof z.ZodObject ? Object.keys(form.shape) : undefined;
}

/** The schema under one key path, with what wraps it; a union is decided by the value's `kind`, or what else tells its options apart. */
export function schemaAt(schema: Schema, path: readonly PropertyKey[], value: unknown): Schema | undefined {
  const form = decided(bare(schema), value);
  const [step, ...rest] = path;
  if (step === undefined) return form instanceof z.ZodObject && bare(schema) !== form ? form : schema;
  const inner =
    typeof value === "object" && value !== null
      ? (value as Readonly<Record<PropertyKey, unknown>>)[step]
      : undefined;
  if (form instanceof z.ZodArray) return schemaAt(form.element, rest, inner);
  if (form instanceof z.ZodObject) {
    const next = (form.shape as Readonly<Record<string, Schema>>)[String(step)];
    return next === undefined ? undefined : schemaAt(next, rest, inner);
  }
  if (form instanceof z.ZodRecord) return schemaAt(form.valueType, rest, inner);
  return undefined;
}

function decided(form: Schema, value: unknown): Schema {
  if (!(form instanceof z.ZodUnion)) return form;
  const options: readonly Schema[] = form.options;
  if (Array.isArray(value)) return options.map(bare).find((option) => option instanceof z.ZodArray) ?? form;
  if (typeof value !== "object" || value === null) return form;
  const key = form instanceof z.ZodDiscriminatedUnion ? form.def.discriminator : "kind";
  const given = (value as Readonly<Record<string, unknown>>)[key];
  const objects = options.map(bare).filter((option) => option instanceof z.ZodObject);
  return (
    objects.find((option) => literalsOf(option, key).includes(given)) ??
    (form instanceof z.ZodDiscriminatedUnion ? form : (objects[0] ?? form))
  );
}

/** The values that a key of an object may have; undefined is one where it may be left out. */
function literalsOf(form: z.ZodObject, key: string): readonly unknown[] {
  const field = (form.shape as Readonly<Record<string, Schema>>)[key];
  if (field === undefined) return [];
  const literal = bare(field);
  if (!(literal instanceof z.ZodLiteral)) return [];
  return [...literal.values, ...(field instanceof z.ZodOptional ? [undefined] : [])];
}

/** What was said about a schema with `.meta()` and `.describe()`, on any of its wraps, the outermost first. */
export function metaOf(schema: Schema): Readonly<Record<string, unknown>> {
  const own = (z.globalRegistry.get(schema) ?? {}) as Readonly<Record<string, unknown>>;
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault) {
    return { ...metaOf(schema.unwrap()), ...own };
  }
  return own;
}

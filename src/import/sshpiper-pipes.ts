import type { Problem } from "#config";
import { isNode, LineCounter, parseDocument } from "yaml";
import * as z from "zod";
import { ImportInvalid, type Place, problemAt } from "./errors.ts";

/** How somebody comes in. Empty: not given. */
export interface PipeFrom {
  readonly username: string;
  readonly groupname: string;
  readonly username_regex_match: boolean;
  readonly authorized_keys: readonly string[];
  readonly authorized_keys_data: readonly string[];
  readonly trusted_user_ca_keys: readonly string[];
  readonly trusted_user_ca_keys_data: readonly string[];
}

/** Where it leads. Empty: not given. */
export interface PipeTo {
  readonly host: string;
  readonly username: string;
  readonly password: string;
  readonly private_key: string;
  readonly private_key_data: string;
  readonly known_hosts: readonly string[];
  readonly known_hosts_data: readonly string[];
  readonly ignore_hostkey: boolean;
}

interface PipesFile {
  readonly version?: string | undefined;
  readonly pipes: readonly { readonly from: readonly PipeFrom[]; readonly to: PipeTo }[];
}

/** Text; YAML has a number where Go takes one as text. */
const text: z.ZodType<string> = z
  .union([z.string(), z.number()], { error: "expected text" })
  .transform(String);
const optionalText: z.ZodType<string> = text.nullish().transform((value) => value ?? "");
const texts: z.ZodType<readonly string[]> = z
  .union([text, z.array(text)], { error: "expected text, or a list of texts" })
  .nullish()
  .transform((value) => (typeof value === "string" ? [value] : (value ?? [])).filter((each) => each !== ""));
const truth: z.ZodType<boolean> = z.boolean({ error: "expected true or false" }).default(false);

const from: z.ZodType<PipeFrom> = z.strictObject({
  username: optionalText,
  groupname: optionalText,
  username_regex_match: truth,
  authorized_keys: texts,
  authorized_keys_data: texts,
  trusted_user_ca_keys: texts,
  trusted_user_ca_keys_data: texts,
});

const to: z.ZodType<PipeTo> = z.strictObject({
  host: text.refine((value) => value !== "", { error: "is empty" }),
  username: optionalText,
  password: optionalText,
  private_key: optionalText,
  private_key_data: optionalText,
  known_hosts: texts,
  known_hosts_data: texts,
  ignore_hostkey: truth,
});

const schema: z.ZodType<PipesFile> = z.strictObject({
  version: text.optional(),
  pipes: z.array(z.strictObject({ from: z.array(from), to })).default([]),
});

export interface Pipe {
  readonly place: Place;
  readonly from: readonly (PipeFrom & { readonly place: Place })[];
  readonly to: PipeTo;
  readonly toPlace: Place;
}

/** The file's own words for what zod says. */
function said(issue: z.core.$ZodIssue): string {
  if (issue.code === "unrecognized_keys")
    return `${issue.keys.join(", ")}: not known, so nobody can say whether it may be left out; take it out of the file, and see by hand to what it did`;
  return `${issue.path.map(String).join(".")}: ${issue.message}`;
}

/** Reads the file of sshpiper's yaml plugin. Throws ImportInvalid with everything that is wrong. */
export function readPipes(file: string, source: string): Pipe[] {
  const lines = new LineCounter();
  const placeOf = (offset: number): Place => {
    const { line, col } = lines.linePos(offset);
    return { file, line: Math.max(line, 1), column: Math.max(col, 1) };
  };
  let document;
  let value: unknown;
  try {
    document = parseDocument(source, {
      lineCounter: lines,
      prettyErrors: false,
      merge: true,
      stringKeys: true,
    });
    const [first] = document.errors;
    if (first === undefined) value = document.toJS({ maxAliasCount: 1000 });
  } catch (error) {
    const why = error instanceof RangeError ? "is nested too deeply" : String(error);
    throw new ImportInvalid([problemAt(placeOf(0), `is not YAML that can be read: ${why}`)]);
  }
  const broken = document.errors.map(({ pos, message }): Problem => problemAt(placeOf(pos[0]), message));
  if (broken.length > 0) throw new ImportInvalid(broken);
  const at = (path: readonly PropertyKey[]): Place => {
    for (let length = path.length; length > 0; length--) {
      const node = document.getIn(path.slice(0, length), true);
      if (isNode(node) && node.range !== undefined && node.range !== null) return placeOf(node.range[0]);
    }
    return placeOf(0);
  };
  const parsed = schema.safeParse(value);
  if (parsed.data === undefined) {
    throw new ImportInvalid(
      (parsed.error?.issues ?? []).map((issue) => problemAt(at(issue.path), said(issue))),
    );
  }
  return parsed.data.pipes.map((pipe, number) => ({
    place: at(["pipes", number]),
    to: pipe.to,
    toPlace: at(["pipes", number, "to"]),
    from: pipe.from.map((each, index) => ({ ...each, place: at(["pipes", number, "from", index]) })),
  }));
}

/**
 * Shapes of configuration fields, on zod. Each reads what an operator writes and gives what the program works with; each carries an
 * example and a form name (`x-form`), from which messages and documentation are made.
 */
import { accessSync } from "node:fs";
import { isAbsolute, resolve } from "node:path";
import * as z from "zod";
import { PosternError } from "./errors.ts";
import { Cidr, type Endpoint, parseEndpoint } from "./net.ts";
import { Pattern } from "./pattern.ts";
import { Place } from "./place.ts";
import { formatBytes, formatSeconds, parseBytes, parseSeconds } from "./quantity.ts";
import { Secret } from "./secret.ts";
import { parseTemplate, type Template } from "./template.ts";

/**
 * For a program that reads each document once, called before any schema is made: compiling a function for each object of it costs more
 * than it saves.
 */
export function readDocumentsOnce(): void {
  z.config({ jitless: true });
}

export interface Bounds {
  readonly min?: number;
  readonly max?: number;
}

/** How paths are read while a configuration is parsed. */
export interface PathContext {
  /** Relative paths begin here. */
  readonly directory: string;
  /** Refuse a fixed path where no file is. */
  readonly mustExist: boolean;
}

let context: PathContext | undefined;

/**
 * Parses with relative paths taken from the directory of the file they stand in. Parsing is synchronous, so the context cannot
 * reach any other parse.
 */
export function withPaths<T>(paths: PathContext, parse: () => T): T {
  const outer = context;
  context = paths;
  try {
    return parse();
  } finally {
    context = outer;
  }
}

function resolvePath(path: string): string {
  return context === undefined || isAbsolute(path) ? path : resolve(context.directory, path);
}

/** Runs a parser of text as a zod transform: what it throws becomes an issue at the right place. */
function reading<In, Out>(read: (value: In) => Out): (value: In, ctx: z.core.$RefinementCtx) => Out {
  return (value, ctx) => {
    try {
      return read(value);
    } catch (error) {
      if (!(error instanceof PosternError)) throw error;
      ctx.addIssue({ code: "custom", message: error.detail ?? error.message });
      return z.NEVER;
    }
  };
}

const text = z.string().min(1);

/** Where to listen: `host:port`, `[v6]:port`, `unix:/path` (relative paths resolved), `systemd[:name]`. */
export const endpoint: z.ZodType<Endpoint> = text
  .transform(
    reading((value) => {
      const found = parseEndpoint(value);
      return found.kind === "unix" ? { ...found, path: resolvePath(found.path) } : found;
    }),
  )
  .meta({ "x-form": "address", examples: ["0.0.0.0:22"] });

/** A range of addresses. */
export const cidr: z.ZodType<Cidr> = text
  .transform(reading((value) => new Cidr(value)))
  .meta({ "x-form": "network", examples: ["10.0.0.0/8"] });

/** Addresses, ranges and ports at which something may have arrived. */
export const place: z.ZodType<Place> = text
  .transform(reading((value) => new Place(value)))
  .meta({ "x-form": "place", examples: ["2001:db8:1::/64"] });

/** A regular expression over a whole text. */
export const pattern: z.ZodType<Pattern> = text
  .transform(reading((value) => new Pattern(value)))
  .meta({ "x-form": "pattern", examples: ["web(?<id>[0-9]+)"] });

/** Text with `{captures}`. */
export const template: z.ZodType<Template> = text
  .transform(reading(parseTemplate))
  .meta({ "x-form": "template", examples: ["web{id}.example.lan"] });

/** A path, made absolute. With `exists`, a file must be there; `make` is the command that makes it. */
export function path(options: { readonly exists?: boolean; readonly make?: string } = {}): z.ZodType<string> {
  return text
    .transform((value, ctx) => {
      const absolute = resolvePath(value);
      const problem = options.exists === true ? absence(absolute) : undefined;
      const hint = options.make === undefined ? "" : `; make it with: ${options.make}`;
      if (problem !== undefined) ctx.addIssue({ code: "custom", message: `${problem}${hint}` });
      return absolute;
    })
    .meta({ "x-form": "path" });
}

/** A path with `{captures}`, made absolute. One without captures must exist if `exists` is set. */
export function pathTemplate(options: { readonly exists?: boolean } = {}): z.ZodType<Template> {
  return text
    .transform(
      reading((value) => {
        if (context === undefined || isAbsolute(value)) return parseTemplate(value);
        // The directory is no template: a brace in its name is a brace.
        return parseTemplate(`${context.directory.replace(/[{}]/g, "$&$&")}/${value}`);
      }),
    )
    .superRefine((found, ctx) => {
      if (options.exists !== true || found.names.length > 0) return;
      const problem = absence(found.expand({}) ?? "");
      if (problem !== undefined) ctx.addIssue({ code: "custom", message: problem });
    })
    .meta({ "x-form": "path template" });
}

/** Only what is certain: a file that this user may not read is for the one who reads it to report. */
function absence(file: string): string | undefined {
  if (context?.mustExist !== true) return undefined;
  try {
    accessSync(file);
    return undefined;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code === "ENOENT" || code === "ENOTDIR" ? `there is no file ${file}` : undefined;
  }
}

/** Text that is never shown: a password, a passphrase. */
export const secret: z.ZodType<Secret> = z
  .string({ error: "expected text; put it in quotes" })
  .min(1)
  .transform((value) => new Secret(value))
  .meta({ "x-form": "secret", examples: ["${file:/run/secrets/name}"] });

/** A moment, in milliseconds since 1970: an ISO date (midnight UTC) or a time with its offset. */
export const instant: z.ZodType<number> = text
  .transform((value, ctx) => {
    const known = /^\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:\d{2}))?$/.test(
      value,
    );
    const at = known ? Date.parse(value.replace(" ", "T")) : Number.NaN;
    if (!Number.isNaN(at)) return at;
    const hint =
      "write a date (2026-12-31, from midnight UTC) or a time with its offset (2026-12-31T18:00:00+01:00)";
    ctx.addIssue({ code: "custom", message: `"${value}" is no moment: ${hint}` });
    return z.NEVER;
  })
  .meta({ "x-form": "moment", examples: ["2026-12-31T18:00:00+01:00"] });

/** Seconds: a number, or 30s, 5m, 1h30m. */
export function duration(bounds: Bounds = {}): z.ZodType<number> {
  return quantity(
    "a duration: seconds as a number, or 30s, 5m, 1h30m",
    parseSeconds,
    formatSeconds,
    bounds,
  ).meta({
    "x-form": "duration",
    examples: ["30s"],
  });
}

/** Bytes: a whole number, or 64KiB, 2MiB. */
export function size(bounds: Bounds = {}): z.ZodType<number> {
  return quantity("a size: bytes as a whole number, or 64KiB, 2MiB", parseBytes, formatBytes, bounds).meta({
    "x-form": "size",
    examples: ["2MiB"],
  });
}

function quantity(
  expected: string,
  parse: (value: string) => number,
  format: (value: number) => string,
  bounds: Bounds,
): z.ZodType<number> {
  return z
    .union([z.number(), z.string()], { error: `expected ${expected}` })
    .transform(reading((value) => parse(String(value))))
    .superRefine((value, ctx) => {
      const { min, max } = bounds;
      if (min !== undefined && value < min)
        ctx.addIssue({ code: "custom", message: `must be at least ${format(min)}` });
      if (max !== undefined && value > max)
        ctx.addIssue({ code: "custom", message: `can be at most ${format(max)}` });
    });
}

/** A whole number. */
export function count(bounds: Bounds = {}): z.ZodType<number> {
  let number = z.int();
  if (bounds.min !== undefined) number = number.min(bounds.min);
  if (bounds.max !== undefined) number = number.max(bounds.max);
  return number.meta({ "x-form": "number" });
}

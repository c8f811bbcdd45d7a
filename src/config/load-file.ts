import { dirname, resolve } from "node:path";
import { withPaths } from "#base";
import type * as z from "zod";
import { YamlDocument } from "./document.ts";
import { ConfigInvalid } from "./errors.ts";
import { deepFreeze } from "./freeze.ts";
import { problemsOf } from "./issue.ts";
import type { LoadOptions } from "./load.ts";
import { readText } from "./read-text.ts";

/** Far more than anybody writes in such a file, or in one that it names. */
const maxSmallFileBytes = 256 * 1024;

/**
 * Another file of the program in the language of the configuration, with a schema of its own: `${env:NAME}` and `${file:/path}` mean the
 * same. Throws ConfigInvalid with everything that is wrong.
 */
export async function loadFile<T>(file: string, schema: z.ZodType<T>, options: LoadOptions): Promise<T> {
  const path = resolve(file);
  const read = options.read ?? readText;
  let text: string;
  try {
    text = await read(path, maxSmallFileBytes);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new ConfigInvalid([{ severity: "error", file, line: 0, column: 0, text: reason }]);
  }
  const document = await YamlDocument.read(file, text, {
    variable: (name) => options.environment[name],
    file: (name) => read(resolve(dirname(path), name), maxSmallFileBytes),
  });
  if (document.value === undefined) throw new ConfigInvalid(document.problems);
  const paths = { directory: dirname(path), mustExist: options.filesMustExist ?? true };
  const parsed = withPaths(paths, () => schema.safeParse(document.value));
  const issues = parsed.error?.issues ?? [];
  const problems = [...document.problems, ...issues.flatMap((issue) => problemsOf(issue, schema, document))];
  if (parsed.data === undefined || problems.length > 0) throw new ConfigInvalid(problems);
  return deepFreeze(parsed.data);
}

import type { CliContext } from "./context.ts";

/** The generated files by their names in docs/. Loads the whole program. */
export async function generatedPages(context: CliContext): Promise<ReadonlyMap<string, string>> {
  const [{ pagesOf }, { createProgram }] = await Promise.all([import("./docs.ts"), import("./program.ts")]);
  return pagesOf(createProgram(context, () => {}));
}

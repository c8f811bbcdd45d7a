/** Where text from outside the file comes from. */
export interface TextSource {
  /** The value of an environment variable. */
  variable(name: string): string | undefined;
  /** The text of a file, relative to the configuration file; throws a sentence as Error. */
  file(path: string): Promise<string>;
}

export interface Substituted {
  readonly text: string;
  /** Something came from outside. */
  readonly foreign: boolean;
  readonly problems: readonly string[];
}

const reference = /\$\$\{|\$\{([^}]*)\}?/g;

/**
 * Fills in `${env:NAME}` and `${file:/path}`; `$${` stands for `${`. What was filled in is not looked at again. One line end at the
 * end of a file is dropped, since editors put it there.
 */
export async function substitute(text: string, source: TextSource): Promise<Substituted> {
  if (!text.includes("${")) return { text, foreign: false, problems: [] };
  const problems: string[] = [];
  let filled = "";
  let foreign = false;
  let at = 0;
  for (const found of text.matchAll(reference)) {
    const [whole, inside] = found;
    filled += text.slice(at, found.index);
    at = found.index + whole.length;
    if (inside === undefined) {
      filled += "${";
      continue;
    }
    foreign = true;
    const [, kind, name = ""] = /^(env|file):(.+)$/s.exec(inside) ?? [];
    if (kind === undefined || !whole.endsWith("}")) {
      problems.push(
        `"${whole}" is not understood: write \${env:NAME} or \${file:/path}, or $\${ for these two characters`,
      );
    } else if (kind === "env") {
      const value = source.variable(name);
      if (value === undefined) problems.push(`the environment variable ${name} is not set`);
      filled += value ?? "";
    } else {
      try {
        filled += (await source.file(name)).replace(/\r?\n$/, "");
      } catch (error) {
        problems.push(error instanceof Error ? error.message : String(error));
      }
    }
  }
  return { text: filled + text.slice(at), foreign, problems };
}

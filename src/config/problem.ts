/** Something wrong, or unwise, at one place of a configuration file. */
export interface Problem {
  readonly severity: "error" | "warning";
  readonly file: string;
  /** From 1; 0 where a problem concerns the file as a whole. */
  readonly line: number;
  readonly column: number;
  /** What is wrong and what would be right, the key path in front. */
  readonly text: string;
}

/** `FILE:LINE:COL: text`, as compilers and editors have it. */
export function formatProblem({ severity, file, line, column, text }: Problem): string {
  const place = line === 0 ? file : `${file}:${line}:${column}`;
  return `${place}: ${severity === "warning" ? "warning: " : ""}${text}`;
}

import { defineErrors, type ErrorTable } from "#base";
import { formatProblem, type Problem } from "#config";
import { relative, resolve } from "node:path";

const rows = {
  OPERATOR_IMPORT_INVALID: {
    user: "The gateway is not set up correctly.",
    operator: "the configuration of another program cannot be imported",
  },
} as const;

export const importErrors: ErrorTable<typeof rows> = defineErrors(rows);

/** A configuration that cannot be imported, with what is wrong with it. */
export class ImportInvalid extends importErrors.OPERATOR_IMPORT_INVALID {
  readonly problems: readonly Problem[];

  constructor(found: readonly Problem[]) {
    const problems = found.toSorted(
      (one, other) =>
        one.file.localeCompare(other.file) || one.line - other.line || one.column - other.column,
    );
    super(problems.map(formatProblem).join("\n"));
    this.problems = problems;
  }
}

/** Where something stands in a file that is imported; lines and columns count from 1. */
export interface Place {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** For comments in the result: the file as seen from the folder of the main one. */
export function placeText({ file, line }: Place, folder: string): string {
  return `${relative(folder, resolve(file))}:${line}`;
}

export function problemAt(
  { file, line, column }: Place,
  text: string,
  severity: Problem["severity"] = "error",
): Problem {
  return { severity, file, line, column, text };
}

/** What one value says cannot be said in our configuration; the place is added by who knows it. */
export class Untranslatable extends Error {}

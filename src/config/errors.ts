import { defineErrors, type ErrorTable } from "#base";
import type { Problem } from "./problem.ts";
import { formatProblem } from "./problem.ts";

const rows = {
  OPERATOR_CONFIG_INVALID: {
    user: "The gateway is not set up correctly.",
    operator: "the configuration cannot be used",
  },
} as const;

export const configErrors: ErrorTable<typeof rows> = defineErrors(rows);

/** A configuration that cannot be used, with everything that is wrong with it. */
export class ConfigInvalid extends configErrors.OPERATOR_CONFIG_INVALID {
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[]) {
    super(problems.map(formatProblem).join("\n"));
    this.problems = problems;
  }
}

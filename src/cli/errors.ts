import { defineErrors, type ErrorTable } from "#base";

const rows = {
  OPERATOR_CONTROL_UNREACHABLE: {
    user: "The gateway does not answer.",
    operator: "the gateway could not be reached by its control socket",
  },
  OPERATOR_CONTROL_REFUSED: {
    user: "The gateway refused.",
    operator: "the gateway did not do what it was asked",
  },
  OPERATOR_COMMAND_FAILED: {
    user: "The command failed.",
    operator: "the command could not be carried out",
  },
  OPERATOR_COMMAND_LINE: {
    user: "The command line was not understood.",
    operator: "an argument or option of a command makes no sense",
  },
} as const;

export const cliErrors: ErrorTable<typeof rows> = defineErrors(rows);

/** Somebody pressed Ctrl-C at a question. */
export class Interrupted extends Error {
  constructor() {
    super("interrupted");
    this.name = "Interrupted";
  }
}

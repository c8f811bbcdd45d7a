/** How the program ends; docs/cli.md lists them. */
export const exitCodes = {
  ok: 0,
  /** It was understood, but could not be done; or `check` found something wrong. */
  failed: 1,
  /** The command line was not understood. */
  usage: 2,
  /** `import` wrote a result in which rules are disabled, or do less than before. */
  partial: 3,
  /** As EX_CONFIG of sysexits(3): the configuration cannot be used. A service manager need not try again. */
  config: 78,
  /** As a shell has it for a program that SIGINT ended. */
  interrupted: 130,
  /** As ssh has it: `ssh` itself failed, and it is not the remote command that says so. */
  remote: 255,
} as const;

export const exitCodeTexts: Readonly<Record<number, string>> = {
  [exitCodes.ok]: "done",
  [exitCodes.failed]:
    "understood, but it could not be done; `check` found something wrong; `explain` found no rule",
  [exitCodes.usage]: "the command line was not understood",
  [exitCodes.partial]: "`import` wrote a configuration, but rules in it are disabled or do less than before",
  [exitCodes.config]: "the configuration cannot be used (all commands but `check`)",
  [exitCodes.interrupted]: "ended by Ctrl-C at a question, or before there was a connection",
  [exitCodes.remote]:
    "`ssh`: there was no connection, no login, or no word of how the command ended; else it is the command's own",
};

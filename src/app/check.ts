import { silentLog, systemClock } from "#base";
import type { Config, Problem } from "#config";
import { compose } from "./compose.ts";
import { Files } from "./files.ts";
import { findAccount } from "./privileges.ts";

/** Makes all that a configuration asks for, short of listening; what fails is a problem. */
export async function check(config: Config): Promise<readonly Problem[]> {
  const problems: Problem[] = [];
  for (const attempt of [
    () => findAccount(config.user, config.group),
    async () => {
      const clock = systemClock;
      const { world } = await compose(config, { clock, log: silentLog, files: new Files(clock) });
      await world[Symbol.asyncDispose]();
    },
  ]) {
    try {
      await attempt();
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      problems.push({ severity: "error", file: config.file, line: 0, column: 0, text });
    }
  }
  return problems;
}

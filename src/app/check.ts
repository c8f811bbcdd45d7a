import { type LogFields, silentLog, systemClock } from "#base";
import type { Config, Problem } from "#config";
import { compose } from "./compose.ts";
import { pretendDevices } from "./devices.ts";
import { Files } from "./files.ts";
import { findAccount } from "./privileges.ts";
import { TargetWatch } from "./target-watch.ts";

/** Makes all that a configuration asks for, short of listening; what fails is a problem. */
export async function check(config: Config): Promise<readonly Problem[]> {
  const problems: Problem[] = [];
  const tell = (severity: Problem["severity"], text: string): void => {
    problems.push({ severity, file: config.file, line: 0, column: 0, text });
  };
  for (const attempt of [
    () => findAccount(config.user, config.group),
    async () => {
      const clock = systemClock;
      const warn = (event: string, { reason }: LogFields = {}): void => {
        if (event === "user-ignored") tell("warning", String(reason));
      };
      const ports = { clock, log: { ...silentLog, warn }, files: new Files(clock) };
      const { pools } = new TargetWatch(config, ports);
      const { world } = await compose(config, { ...ports, pools, devices: pretendDevices(config, ports) });
      await world[Symbol.asyncDispose]();
    },
  ]) {
    try {
      await attempt();
    } catch (error) {
      tell("error", error instanceof Error ? error.message : String(error));
    }
  }
  return problems;
}

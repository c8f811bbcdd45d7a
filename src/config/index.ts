/**
 * config: what the operator wrote, read, checked and frozen.
 *
 * Law: one schema, from which come the types, the checks, the defaults and the documentation. It reads the files and the variables that
 * a configuration names, and nothing else; it opens no socket, and knows what a rule says, never what becomes of it.
 */
export { configJsonSchema, configPage, errorsPage, limitsPage } from "./docs.ts";
export { diffConfig, type ConfigDiff } from "./diff.ts";
export { ConfigInvalid, configErrors } from "./errors.ts";
export { type FixedLimit, fixedLimits } from "./fixed-limits.ts";
export {
  type LimitRow,
  limitRows,
  type Limits,
  type LimitUnit,
  type SourceNetwork,
  type Startups,
} from "./limits.ts";
export {
  loadConfig,
  type Loaded,
  type LoadOptions,
  parseConfig,
  readControlPath,
  readStateDir,
} from "./load.ts";
export { loadFile } from "./load-file.ts";
export { loginSteps, type RequiredKinds } from "./login-steps.ts";
export { formatProblem, type Problem } from "./problem.ts";
export { readText } from "./read-text.ts";
export type { RuleConfig } from "./rule.ts";
export { type Config, type KeepaliveConfig, type LogConfig, restartKeys, ruleCount } from "./schema.ts";
export { fixedAddresses, type SpliceRuleConfig, type TargetConfig } from "./target.ts";
export { alike as sameConfig } from "./diff.ts";
export type { UpstreamConfig } from "./upstream.ts";
export type { JumpHopConfig, ViaConfig } from "./via.ts";

import type { Sample, Size } from "./schema.ts";
import type { Stage } from "./stage.ts";

/** One thing to measure, for each subject once in every round. */
export interface BenchCase {
  readonly name: string;
  readonly summary: string;
  /** Subjects it is measured for; those that are not here are left out. */
  readonly subjects: readonly string[];
  /** Fewer rounds than others, as each takes long. */
  readonly maxRounds?: number;
  /** No goal asks for it: measured by `--all`, or by name. */
  readonly onlyTold?: boolean;
  /** Subjects that no goal asks for: measured by `--all`, or by name. */
  readonly told?: readonly string[];
  /** Of these subjects alone where it is to be quick; none: not at all. */
  readonly quick?: readonly string[];
  /** The subject whose profile is of interest. Default: the gateway. */
  readonly profiled?: string;
  measure(stage: Stage, subject: string, size: Size): Promise<Sample>;
}

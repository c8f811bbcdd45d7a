import type { PlacedRule } from "./advice.ts";
import type { YamlDocument } from "./document.ts";
import type { Problem } from "./problem.ts";
import type { MainFile } from "./schema.ts";
import type { PlacedTarget } from "./target-advice.ts";

/** What is wrong about devices as the whole configuration has them. */
export function* checkDevices(
  { devices, workers }: Pick<MainFile, "devices" | "workers">,
  main: YamlDocument,
  named: { readonly targets: readonly PlacedTarget[]; readonly rules: readonly PlacedRule[] },
): Generator<Problem> {
  if (devices !== undefined) {
    if (workers > 1)
      yield main.problem(
        ["workers"],
        "must be 1 where there are devices: a tunnel lives in one process, and the others would not find it",
      );
    return;
  }
  const text = "needs a section `devices`: add `devices: {}`";
  for (const { target, document, at } of named.targets)
    if (target.devices === true) yield document.problem(["targets", at, "devices"], text);
  for (const { rule, document, at } of named.rules)
    if (rule.serve?.kind === "devices") yield document.problem(["rules", at, "serve"], text);
}

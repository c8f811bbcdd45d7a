import { Findings, goals, type Part } from "./goals.ts";
import type { Figure, GoalVerdict, Verdict } from "./schema.ts";
import { number } from "./table.ts";

/** Whether a part holds; undefined where this report or this machine cannot say. */
function holds({ found, atMost, atLeast, onlyHere }: Part): boolean | undefined {
  if (found === undefined) return undefined;
  const met = (atMost === undefined || found <= atMost) && (atLeast === undefined || found >= atLeast);
  return met || onlyHere === undefined ? met : undefined;
}

/** The verdict over the parts that decide; a goal is only ever met where all that it is about was measured. */
function verdictOf(deciding: readonly Part[], open: readonly string[]): Verdict {
  const found = deciding.map(holds);
  if (found.includes(false)) return "missed";
  if (deciding.some((part) => part.beside !== true && part.found === undefined)) return "not measured";
  if (!deciding.some((part) => part.beside !== true && holds(part) === true)) return "open";
  // What is beside the goal may be lacking, and a miss may say nothing here.
  return found.includes(undefined) || open.length > 0 ? "met here" : "met";
}

/** Every goal, by what a report found. */
export function judge(figures: readonly Figure[]): GoalVerdict[] {
  const findings = new Findings(figures);
  return goals.map((goal) => {
    const parts = goal.parts(findings);
    const deciding = parts.filter((part) => part.onlyTold !== true);
    const lacking = deciding.filter(({ found }) => found === undefined).map(({ what }) => what);
    const open = deciding.flatMap((part) =>
      part.found !== undefined && holds(part) === undefined ? [`${part.what} (${part.onlyHere})`] : [],
    );
    if (goal.open !== undefined) open.push(goal.open);
    const told = parts.flatMap(({ what, found }) =>
      found === undefined ? [] : [`${what} ${number(found)}`],
    );
    if (lacking.length > 0) told.push(`not measured: ${lacking.join(", ")}`);
    if (open.length > 0) told.push(`open: ${open.join(", ")}`);
    const { id, what, goal: text } = goal;
    return { id, what, goal: text, verdict: verdictOf(deciding, open), found: told.join("; ") };
  });
}

import type { Target } from "#contract";

/** Whether a rule's word for targets means this one. */
export function selects(selector: string, { name, tags }: Pick<Target, "name" | "tags">): boolean {
  return (
    selector === "*" || selector === name || (selector.startsWith("tag:") && tags.includes(selector.slice(4)))
  );
}

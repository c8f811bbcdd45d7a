import type { Target } from "#contract";

/** Whether a rule's word for targets means this one. A device's own name is among the `names` of the target that it is. */
export function selects(
  selector: string,
  { name, names, tags, devices }: Pick<Target, "name" | "tags"> & Partial<Pick<Target, "names" | "devices">>,
): boolean {
  return (
    selector === "*" ||
    selector === name ||
    (selector.startsWith("tag:") && tags.includes(selector.slice(4))) ||
    (devices === true && names?.includes(selector) === true)
  );
}

/** Whether the word means this target, or may: which names and tags devices have changes while the gateway runs. */
export function mayMean(
  selector: string,
  target: Pick<Target, "name" | "tags"> & Partial<Pick<Target, "names" | "devices">>,
): boolean {
  return selects(selector, target) || (target.devices === true && /^(?:tag:)?[\w.-]+$/.test(selector));
}

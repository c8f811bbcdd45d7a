import type { ListedTarget } from "#contract";

/** The version of the JSON that `ls --json` prints; fields may be added without a new one. */
const jsonVersion = 1;

/** What `ls` prints: a line for each target, its name first. */
export function listText(targets: readonly ListedTarget[]): string {
  const width = Math.max(0, ...targets.map(({ name }) => name.length));
  return targets
    .map((target) => `${`${target.name.padEnd(width)}  ${detailsOf(target)}`.trimEnd()}\n`)
    .join("");
}

/** What is worth knowing of a target besides its name. */
export function detailsOf({ names, tags, pattern, online }: ListedTarget): string {
  const also = pattern === undefined ? names : [...names, `names like ${pattern}`];
  return [
    ...(also.length === 0 ? [] : [also.join(", ")]),
    ...(online === false ? ["offline"] : []),
    ...tags.map((tag) => `#${tag}`),
  ].join("  ");
}

export function listJson(targets: readonly ListedTarget[]): string {
  const shown = targets.map(({ name, names, tags, pattern, online }) => ({
    name,
    names,
    tags,
    ...(pattern === undefined ? {} : { pattern }),
    ...(online === undefined ? {} : { online }),
  }));
  return `${JSON.stringify({ version: jsonVersion, targets: shown }, undefined, 2)}\n`;
}

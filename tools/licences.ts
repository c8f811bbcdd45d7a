import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import type { Metafile } from "esbuild";
import { projectDir } from "./project.ts";

/** The licences of what bundles hold, which ask to go with every copy. */
export function licences(...made: readonly Metafile[]): string {
  const folders = new Set<string>();
  for (const input of made.flatMap(({ inputs }) => Object.keys(inputs))) {
    const folder = /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/.exec(input)?.[0];
    if (folder !== undefined) folders.add(folder);
  }
  const parts = [...folders].sort().map((folder) => {
    const from = join(projectDir, folder);
    const { name, version, license } = JSON.parse(readFileSync(join(from, "package.json"), "utf8")) as Record<
      string,
      string
    >;
    const file = readdirSync(from).find((entry) => /^licen[cs]e/i.test(basename(entry)));
    const text = file === undefined ? "" : readFileSync(join(from, file), "utf8");
    return `${name} ${version} (${license})\n\n${text.trim()}\n`;
  });
  return parts.join(`\n${"-".repeat(72)}\n\n`);
}

import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";

/** The directory that holds package.json. */
export const projectDir: string = dirname(import.meta.dirname);

export interface ProjectPackage {
  readonly name: string;
  readonly version: string;
  readonly description: string;
  readonly license: string;
}

export function projectPackage(): ProjectPackage {
  return JSON.parse(readFileSync(join(projectDir, "package.json"), "utf8")) as ProjectPackage;
}

/** `npm run build`: src/ as JavaScript in dist/, which starts faster and takes less memory than type stripping. */
import { execFileSync } from "node:child_process";
import { cpSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { projectDir, projectPackage } from "./project.ts";

const outDir = join(projectDir, "dist");
const nodeModules = join(projectDir, "node_modules");

rmSync(outDir, { recursive: true, force: true });
execFileSync(process.execPath, [join(nodeModules, "typescript", "bin", "tsc"), "-p", "tsconfig.build.json"], {
  cwd: projectDir,
  stdio: "inherit",
});
// The doors by name: the nearest package.json decides what "#base" means, so dist/ has one of its own.
const { name, version, description, license } = projectPackage();
const manifest = {
  name,
  version,
  description,
  license,
  type: "module",
  private: true,
  imports: { "#*": "./*/index.js" },
};
writeFileSync(join(outDir, "package.json"), `${JSON.stringify(manifest, undefined, 2)}\n`);
cpSync(join(projectDir, "LICENSE"), join(outDir, "LICENSE"));

/**
 * `npm run build:binary [OUTPUT]`: one executable file that needs no Node on the machine it runs on (Node's single executable
 * application). One bundle of src/ and its dependencies is put into a copy of the Node binary that runs this.
 */
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { build } from "esbuild";
import { licences } from "./licences.ts";
import { projectDir } from "./project.ts";

const buildDir = join(projectDir, "build");
const output = resolve(process.argv[2] ?? join(buildDir, "postern"));
const bundle = join(buildDir, "postern.mjs");

mkdirSync(dirname(output), { recursive: true });
// Nothing in the bundle may look for files beside the executable: whoever can write there (or above it) would have code run by it.
const nowhere = "/dev/null/postern";
const { metafile } = await build({
  absWorkingDir: projectDir,
  entryPoints: ["src/main.ts"],
  outfile: bundle,
  bundle: true,
  platform: "node",
  format: "esm",
  target: "node26",
  // Dependencies that are CommonJS ask for Node's own modules by require(); a bundle of ES modules has none unless it makes one.
  banner: {
    js: `import { createRequire as postern$require } from "node:module"; const require = postern$require("${nowhere}");`,
  },
  define: { "import.meta.url": JSON.stringify(`file://${nowhere}`) },
  metafile: true,
  logLevel: "warning",
});

const seaConfig = join(buildDir, "sea-config.json");
const sea = {
  main: bundle,
  mainFormat: "module",
  output,
  disableExperimentalSEAWarning: true,
  useCodeCache: true,
};
writeFileSync(seaConfig, JSON.stringify(sea, undefined, 2));
execFileSync(process.execPath, ["--build-sea", seaConfig], { cwd: projectDir, stdio: "inherit" });
chmodSync(output, 0o755);
writeFileSync(`${output}.licences.txt`, licences(metafile));

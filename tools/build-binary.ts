/**
 * `npm run build:binary [OUTPUT]`: one executable file that needs no Node on the machine it runs on (Node's single executable
 * application). One bundle of src/ and its dependencies is put into a copy of the Node binary that runs this.
 */
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { build, type Metafile } from "esbuild";
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

/** The licences of what the bundle holds, which ask to go with every copy. */
function licences(made: Metafile): string {
  const folders = new Set<string>();
  for (const input of Object.keys(made.inputs)) {
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

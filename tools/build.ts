/**
 * `npm run build [FOLDER] [--no-types]`: src/ as JavaScript in dist/ (or that folder), with the types of the library. The code and its dependencies are put
 * into a few files: to find and read hundreds of them takes most of a start, and what nobody uses would be kept in memory.
 */
import { execFileSync } from "node:child_process";
import { cpSync, existsSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { build, type Plugin } from "esbuild";
import { licences } from "./licences.ts";
import { projectDir, projectPackage } from "./project.ts";

const ownDir = join(projectDir, "dist");
const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: { "no-types": { type: "boolean", default: false } },
});
const outDir = resolve(positionals[0] ?? ownDir);
const nodeModules = join(projectDir, "node_modules");

// What was deleted from the source must go here too; in a folder of somebody's choice nothing is deleted.
if (outDir === ownDir) rmSync(outDir, { recursive: true, force: true });
if (!options["no-types"]) {
  const tsc = [
    join(nodeModules, "typescript", "bin", "tsc"),
    "-p",
    "tsconfig.build.json",
    "--outDir",
    outDir,
  ];
  execFileSync(process.execPath, tsc, { cwd: projectDir, stdio: "inherit" });
}
/**
 * Node's modules for HTTP and TLS are loaded by what first uses them: they are seven megabytes, and a gateway for SSH alone never does.
 * An `import` would load them at once, and run every getter of theirs besides.
 */
const nodeModulesLater = /^(?:node:)?(?:https?|http2|tls)$/;
/** Dependencies of what few use, likewise: each is a file of its own. */
const packagesLater: readonly string[] = [
  "bcrypt-pbkdf",
  "bcryptjs",
  "openid-client",
  "otpauth",
  "re2js",
  "uqr",
];
const lateFile = (name: string): string => `late-${name}.cjs`;

/** A module whose exports ask for the true one when they are first used. */
function standIn(names: readonly string[], loaded: string): string {
  const parts = names.map(
    (name) => `get ${JSON.stringify(name)}() { return ${loaded}[${JSON.stringify(name)}]; }`,
  );
  return `module.exports = {${parts.join()}};`;
}

const lateModules: Plugin = {
  name: "late modules",
  setup: (bundler) => {
    bundler.onResolve({ filter: nodeModulesLater }, ({ path }) => ({ path, namespace: "late" }));
    bundler.onLoad({ filter: /./, namespace: "late" }, ({ path }) => {
      const names = Object.keys(process.getBuiltinModule(path) ?? {});
      return { contents: standIn(names, `process.getBuiltinModule(${JSON.stringify(path)})`) };
    });
    bundler.onResolve({ filter: new RegExp(`^(?:${packagesLater.join("|")})$`) }, ({ path }) => ({
      path,
      namespace: "late-package",
    }));
    bundler.onLoad({ filter: /./, namespace: "late-package" }, async ({ path }) => {
      const names = Object.keys((await import(path)) as object).filter((name) => name !== "module.exports");
      // Of the banner: esbuild looks into every require() that it knows.
      return { contents: standIn(names, `postern$require("./${lateFile(path)}")`) };
    });
  },
};
const common = {
  absWorkingDir: projectDir,
  outdir: outDir,
  bundle: true,
  platform: "node",
  target: "node24",
  // Names stay, and lines are short: a stack must say something. The maps are for `node --enable-source-maps`.
  minifyWhitespace: true,
  minifySyntax: true,
  lineLimit: 160,
  sourcemap: "linked",
  sourcesContent: false,
  metafile: true,
  logLevel: "warning",
} as const;
const own = await build({
  ...common,
  // All in one folder, so that code finds what lies beside it, whichever file it went into.
  entryPoints: {
    main: "src/main.ts",
    client: "src/client/index.ts",
    library: "src/library/index.ts",
    "bcrypt-thread": "src/auth/password/bcrypt-thread.ts",
  },
  splitting: true,
  format: "esm",
  plugins: [lateModules],
  // Dependencies that are CommonJS ask for Node's own modules by require(); ES modules have none unless they make one.
  banner: {
    js: `import { createRequire as postern$require$ } from "node:module"; const require = postern$require$(import.meta.url), postern$require = require;`,
  },
});
const late = await build({
  ...common,
  entryPoints: packagesLater.map((name) => ({ in: name, out: lateFile(name).replace(/\.cjs$/, "") })),
  outExtension: { ".js": ".cjs" },
  format: "cjs",
});
writeFileSync(join(outDir, "licences.txt"), licences(own.metafile, late.metafile));
// The doors by name, as the types have them: the nearest package.json decides what "#base" means, so dist/ has one of its own.
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
const native = join(projectDir, "native", "build", "packets.node");
if (existsSync(native)) cpSync(native, join(outDir, "native", "packets.node"));

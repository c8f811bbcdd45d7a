/**
 * The native part, in native/build/. `npm ci` runs it and goes on without when there is no compiler: the program then does the same
 * with node:crypto, at twice the cost. `node tools/build-native.ts --must` fails instead.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { projectDir } from "./project.ts";

const nativeDir = join(projectDir, "native");
const output = join(nativeDir, "build", "packets.node");
const must = process.argv.includes("--must");

function build(): void {
  const headers = join(dirname(createRequire(import.meta.url).resolve("node-api-headers")), "include");
  mkdirSync(dirname(output), { recursive: true });
  // What was built before may be of other sources.
  rmSync(output, { force: true });
  const flags = [
    "-std=c11",
    "-O2",
    "-Wall",
    "-Wextra",
    "-fPIC",
    "-fvisibility=hidden",
    "-fstack-protector-strong",
  ];
  // Functions of Node and its OpenSSL are found when it is loaded, all of them at once, so that a Node without one refuses it whole.
  const linked =
    process.platform === "darwin"
      ? ["-bundle", "-undefined", "dynamic_lookup"]
      : ["-shared", "-Wl,-z,now", "-Wl,-z,relro", "-Wl,-z,noexecstack"];
  const sources = ["addon.c", "packets.c"].map((file) => join(nativeDir, file));
  execFileSync(process.env["CC"] ?? "cc", [...flags, ...linked, `-I${headers}`, ...sources, "-o", output], {
    stdio: ["ignore", "ignore", must ? "inherit" : "ignore"],
  });
}

try {
  if (process.platform === "win32") throw new Error("not built on Windows");
  build();
  console.log("The native part is built.");
} catch (error) {
  rmSync(output, { force: true });
  if (must) throw error;
  console.log(
    "The native part is not built (no C compiler); packets are done by node:crypto, which always works.",
  );
}

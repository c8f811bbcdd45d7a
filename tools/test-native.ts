/** `npm run test:native [-- RUNS [SEED]]`: the native core under sanitizers, with packets made, cut and changed at random. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { projectDir } from "./project.ts";

const folder = mkdtempSync(join(tmpdir(), "postern-native-"));
const program = join(folder, "packets-fuzz");
const sources = ["packets-fuzz.c", "packets.c"].map((file) => join(projectDir, "native", file));
const flags = ["-std=c11", "-g", "-O1", "-Wall", "-Wextra", "-Werror", "-fno-sanitize-recover"];
try {
  execFileSync(
    process.env["CC"] ?? "cc",
    // By its file name: the link without a version comes with OpenSSL's headers only, which are not needed.
    [...flags, "-fsanitize=address,undefined", ...sources, "-l:libcrypto.so.3", "-o", program],
    { stdio: "inherit" },
  );
  execFileSync(program, process.argv.slice(2), { stdio: "inherit" });
} finally {
  rmSync(folder, { recursive: true, force: true });
}

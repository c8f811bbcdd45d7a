import { rmSync } from "node:fs";
import { succeed } from "#test/support/child";
import { programPath } from "#test/support/strangers";
import { tempDir } from "#test/support/temp-dir";

const made = new Map<string, Promise<string>>();

/** Compiles a program in C, once. Throws where there is no compiler. */
async function compiled(name: string, sources: readonly string[], flags: readonly string[]): Promise<string> {
  const compiler = programPath("cc") ?? programPath("gcc");
  if (compiler === undefined) throw new Error(`no C compiler for ${name}`);
  const folder = await tempDir();
  process.on("exit", () => rmSync(folder.path, { recursive: true, force: true }));
  const program = folder.at(name);
  const files = sources.map((source) => new URL(source, import.meta.url).pathname);
  await succeed(compiler, ["-std=gnu11", "-O2", "-o", program, ...files, ...flags]);
  return program;
}

function once(name: string, sources: readonly string[], flags: readonly string[] = []): Promise<string> {
  const program = made.get(name) ?? compiled(name, sources, flags);
  made.set(name, program);
  return program;
}

/** The program of copy.c: bytes as they are. */
export function compiledCopy(): Promise<string> {
  return once("copy", ["copy.c"]);
}

/** The program of recrypt.c: a proxy that decrypts and encrypts, with the system's OpenSSL. */
export function compiledRecrypt(): Promise<string> {
  // By its file name: the one without a version comes with OpenSSL's headers only, which are not needed.
  return once("recrypt", ["recrypt.c", "../native/packets.c"], ["-l:libcrypto.so.3"]);
}

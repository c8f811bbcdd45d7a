import { rmSync } from "node:fs";
import { succeed } from "#test/support/child";
import { programPath } from "#test/support/strangers";
import { tempDir } from "#test/support/temp-dir";

const made = new Map<string, Promise<string>>();

function compilerPath(): string | undefined {
  return programPath("cc") ?? programPath("gcc");
}

/** Why no program in C can be compiled here; undefined: it can. */
export function whyNoCompiler(): string | undefined {
  return compilerPath() === undefined ? "there is no C compiler" : undefined;
}

/** Compiles a program in C, once. Throws where there is no compiler. */
async function compiled(name: string, sources: readonly string[], flags: readonly string[]): Promise<string> {
  const compiler = compilerPath();
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

let goPipe: Promise<string> | undefined;

/** The program of go-pipe/, built with the modules that Go finds, or with Debian's sources of them. */
export function compiledGoPipe(): Promise<string> {
  goPipe ??= buildGoPipe();
  return goPipe;
}

async function buildGoPipe(): Promise<string> {
  const folder = await tempDir();
  process.on("exit", () => rmSync(folder.path, { recursive: true, force: true }));
  const output = folder.at("go-pipe");
  const cwd = new URL("go-pipe", import.meta.url).pathname;
  const go = programPath("go") ?? "go";
  try {
    await succeed(go, ["build", "-o", output, "."], { cwd, deadlineMs: buildMs });
  } catch {
    const env = { GO111MODULE: "off", GOPATH: debianGoPath };
    await succeed(go, ["build", "-o", output, "main.go"], { cwd, env, deadlineMs: buildMs });
  }
  return output;
}

const debianGoPath = "/usr/share/gocode";
/** A first build compiles Go's own library too. */
const buildMs = 300_000;

/** Why there is no such program here, without trying to build it. */
export function whyNoGoPipe(): string | undefined {
  return programPath("go") === undefined
    ? "go is not on the PATH (Debian: golang-go, golang-golang-x-crypto-dev)"
    : undefined;
}

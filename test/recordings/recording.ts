import { createCipheriv } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** One chunk of a recorded conversation: what the peer sent, or what we did. */
export interface Chunk {
  readonly by: "peer" | "us";
  readonly bytes: Uint8Array;
}

const folder = new URL("./data/", import.meta.url);

/** Whether the tests talk to real programs and write what was said, instead of replaying it. */
export const updating: boolean =
  process.argv.includes("--update") || process.env["UPDATE_RECORDINGS"] === "1";

export function pathOf(name: string): string {
  return fileURLToPath(new URL(name, folder));
}

export function readRecording(name: string): Chunk[] {
  const file = pathOf(`${name}.hex`);
  if (!existsSync(file)) throw new Error(`no recording ${name}: run the test with UPDATE_RECORDINGS=1`);
  return readFileSync(file, "utf8")
    .split("\n")
    .filter((line) => line.startsWith("> ") || line.startsWith("< "))
    .map((line) => ({ by: line.startsWith("<") ? "peer" : "us", bytes: Buffer.from(line.slice(2), "hex") }));
}

export function writeRecording(name: string, about: string, chunks: readonly Chunk[]): void {
  mkdirSync(folder, { recursive: true });
  const lines = chunks.map(
    (chunk) => `${chunk.by === "peer" ? "<" : ">"} ${Buffer.from(chunk.bytes).toString("hex")}`,
  );
  writeFileSync(pathOf(`${name}.hex`), `# ${about}\n# < the peer, > us\n${lines.join("\n")}\n`);
}

/** Bytes that look random and are the same each time: a keystream, because some values are refused for being too regular. */
export function fixedRandom(seed: number): (count: number) => Uint8Array {
  const stream = createCipheriv("aes-128-ctr", Buffer.alloc(16, seed), Buffer.alloc(16));
  return (count) => stream.update(Buffer.alloc(count));
}

import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A directory that goes away with its owner. Others may look in, as upstream users do. */
export interface TempDir extends AsyncDisposable {
  readonly path: string;
  /** A path inside it. */
  at(...names: string[]): string;
}

export async function tempDir(): Promise<TempDir> {
  const path = await mkdtemp(join(tmpdir(), "postern-test-"));
  await chmod(path, 0o755);
  return {
    path,
    at: (...names) => join(path, ...names),
    [Symbol.asyncDispose]: async () => {
      await rm(path, { recursive: true, force: true, maxRetries: 3 });
    },
  };
}

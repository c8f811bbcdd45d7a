import { writeFile } from "node:fs/promises";
import { Child, type ChildOptions } from "./child.ts";
import { configText, type Gateway, type LogLine, type Pieces, program } from "./gateway.ts";
import { type TempDir, tempDir } from "./temp-dir.ts";

/** `postern agent` as a device runs it, with a log that can be waited for. */
export interface TestAgent extends AsyncDisposable {
  readonly child: Child;
  readonly folder: TempDir;
  readonly file: string;
  events(name: string): LogLine[];
  /** Waits for the `count`th line of that event. */
  event(name: string, count?: number): Promise<LogLine>;
  rewrite(pieces: Pieces): Promise<void>;
}

/** What a device has to know of a gateway. */
export function gateOf(gateway: Pick<Gateway, "host" | "port" | "knownHosts">, more: Pieces = {}): Pieces {
  return { address: `${gateway.host}:${gateway.port}`, knownHosts: gateway.knownHosts, ...more };
}

export async function startAgent(pieces: Pieces, options: ChildOptions = {}): Promise<TestAgent> {
  const folder = await tempDir();
  const file = folder.at("agent.yaml");
  const rewrite = async (next: Pieces): Promise<void> => {
    const usual = {
      stateDir: folder.at("state"),
      // Nothing is measured here: an agent that comes back soon makes a test that ends soon.
      retry: { firstSeconds: 0.1, maxSeconds: 1 },
      log: { level: "debug", format: "json" },
    };
    await writeFile(file, configText({ ...usual, ...next }));
  };
  await rewrite(pieces);
  const child = new Child(process.execPath, [program, "agent", "-c", file], options);
  const events = (name: string): LogLine[] => {
    const lines = child.stderr.split("\n").slice(0, -1);
    return lines
      .filter((line) => line.startsWith("{"))
      .map((line) => JSON.parse(line) as LogLine)
      .filter(({ event }) => event === name);
  };
  return {
    child,
    folder,
    file,
    events,
    event: (name, count = 1) => child.waitFor(`${name}, ${count}`, () => events(name)[count - 1]),
    rewrite,
    [Symbol.asyncDispose]: async () => {
      await child[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}

import { Child, succeed } from "./child.ts";
import { tempDir } from "./temp-dir.ts";
import { until } from "./waiting.ts";
import { existsSync } from "node:fs";

export interface Agent extends AsyncDisposable {
  /** Path of its socket. */
  readonly socket: string;
}

/** OpenSSH's agent, holding the keys in these files. */
export async function startAgent(keys: readonly string[]): Promise<Agent> {
  const folder = await tempDir();
  const socket = folder.at("agent.sock");
  const child = new Child("ssh-agent", ["-D", "-a", socket]);
  await until("the agent's socket", () => existsSync(socket));
  for (const key of keys) await succeed("ssh-add", ["-q", key], { env: { SSH_AUTH_SOCK: socket } });
  return {
    socket,
    [Symbol.asyncDispose]: async () => {
      await child[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}

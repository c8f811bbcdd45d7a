import { Child, succeed } from "./child.ts";
import { askpassEnv } from "./ssh.ts";
import { tempDir } from "./temp-dir.ts";
import { until } from "./waiting.ts";
import { existsSync } from "node:fs";

export interface Agent extends AsyncDisposable {
  /** Path of its socket. */
  readonly socket: string;
}

/** OpenSSH's agent, holding the keys in these files; `provider` is the library of a security key that they belong to. */
export async function startAgent(keys: readonly string[], provider?: string): Promise<Agent> {
  const folder = await tempDir();
  const socket = folder.at("agent.sock");
  const token = provider === undefined ? {} : { SSH_SK_PROVIDER: provider };
  const flags = provider === undefined ? [] : ["-P", provider];
  // It tells somebody to touch the key.
  const env = { ...token, ...(provider === undefined ? {} : askpassEnv([""])) };
  const child = new Child("ssh-agent", ["-D", "-a", socket, ...flags], { env });
  await until("the agent's socket", () => existsSync(socket));
  const more = provider === undefined ? [] : ["-S", provider];
  for (const key of keys)
    await succeed("ssh-add", ["-q", ...more, key], { env: { SSH_AUTH_SOCK: socket, ...token } });
  return {
    socket,
    [Symbol.asyncDispose]: async () => {
      await child[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}

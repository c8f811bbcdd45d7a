import { once } from "node:events";
import { rm } from "node:fs/promises";
import type { Server } from "node:net";

/** Has a server listen at a path that the account of this process alone can open (mode 0600). Throws what the system says. */
export async function listenPrivately(server: Server, path: string): Promise<void> {
  // Nobody gets in between the making of the file and its mode.
  const before = process.umask(0o177);
  try {
    await rm(path, { force: true });
    server.listen({ path });
    await once(server, "listening");
  } finally {
    process.umask(before);
  }
}

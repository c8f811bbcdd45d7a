import { once } from "node:events";
import { lstatSync, unlinkSync } from "node:fs";
import type { Server, Socket } from "node:net";
import { madePrivately } from "#base";

/** Has a server listen at a path that the account of this process alone can open (mode 0600). Throws what the system says. */
export async function listenPrivately(server: Server, path: string): Promise<void> {
  // What is no socket was put there by somebody else, or a path was mistyped.
  if (lstatSync(path, { throwIfNoEntry: false })?.isSocket() === true) unlinkSync(path);
  madePrivately(() => server.listen({ path }));
  await once(server, "listening");
}

/** A server's connections, to end them all with it. */
export class Connections implements Disposable {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  constructor(server: Server) {
    this.#server = server;
    server.on("connection", (socket) => {
      this.#sockets.add(socket);
      socket.on("close", () => this.#sockets.delete(socket));
      socket.on("error", () => {});
    });
  }

  /** It listens no more, and nobody is connected. */
  [Symbol.dispose](): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}

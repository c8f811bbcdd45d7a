import type { Log } from "#base";
import { Elsewhere } from "#tunnel";
import type { Devices } from "./devices.ts";
import { openAtWorker, TunnelSocket, tunnelSocketPath } from "./tunnel-socket.ts";

/** A worker's tunnels, which the others can open, and theirs. */
export class SharedTunnels implements AsyncDisposable {
  readonly elsewhere: Elsewhere;
  readonly #devices: Devices;
  readonly #socket: TunnelSocket;

  private constructor(devices: Devices, socket: TunnelSocket, elsewhere: Elsewhere) {
    this.#devices = devices;
    this.#socket = socket;
    this.elsewhere = elsewhere;
  }

  /** Throws OPERATOR_FILE_UNWRITABLE. */
  static async open(devices: Devices, stateDir: string, worker: number, log: Log): Promise<SharedTunnels> {
    const { tunnels } = devices;
    const path = tunnelSocketPath(stateDir, worker);
    const socket = await TunnelSocket.listen(path, (...asked) => tunnels.openKey(...asked), log);
    const elsewhere = new Elsewhere(tunnels, async (owner, key, origin, signal) => {
      return await openAtWorker(tunnelSocketPath(stateDir, owner), { key, origin }, signal);
    });
    return new SharedTunnels(devices, socket, elsewhere);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#socket[Symbol.asyncDispose]();
    await this.#devices[Symbol.asyncDispose]();
  }
}

import { lookup } from "node:dns/promises";
import { once } from "node:events";
import { chmodSync, lchownSync, lstatSync, unlinkSync } from "node:fs";
import { connect, createServer, isIP, type ListenOptions, type Server } from "node:net";
import { type Endpoint, formatEndpoint, madePrivately } from "#base";
import type { EntryPorts } from "#contract";
import { entryErrors } from "../errors.ts";

/** After so much silence the kernel asks a peer whether it is there (TCP keepalive): ten seconds later who has not answered is gone. */
const probing = { keepAlive: true, keepAliveInitialDelay: 10_000 } as const;

/**
 * Connections that the kernel keeps until we take them in, and as many as Linux lets anybody have. Where there is no room it drops a SYN,
 * which is sent again after 1 second, then 2, 4, 8 and so on: thousands of devices that come back at once would wait for each other's.
 */
const maxWaiting = 4096;

/** Owner and group may connect: who else shall come in is the operator's to open. */
const socketMode = 0o660;

/** Binds every address that an endpoint stands for. Throws OPERATOR_LISTEN_FAILED or OPERATOR_SOCKET_NOT_PASSED. */
export async function bind(endpoint: Endpoint, ports: EntryPorts): Promise<Server[]> {
  const servers: Server[] = [];
  try {
    for (const bindOne of await bindings(endpoint, ports)) servers.push(await bindOne());
  } catch (cause) {
    for (const server of servers) server.close();
    if (cause instanceof entryErrors.OPERATOR_SOCKET_NOT_PASSED) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new entryErrors.OPERATOR_LISTEN_FAILED(`${formatEndpoint(endpoint)}: ${reason}`, { cause });
  }
  return servers;
}

async function bindings(endpoint: Endpoint, ports: EntryPorts): Promise<(() => Promise<Server>)[]> {
  switch (endpoint.kind) {
    case "tcp": {
      const { host, port } = endpoint;
      // A name may have several addresses, IPv4 and IPv6: all of them are meant.
      const found = isIP(host) === 0 ? await lookup(host, { all: true }) : [{ address: host }];
      const addresses = new Set(found.map(({ address }) => address));
      return [...addresses].map((address) => () => listen({ host: address, port }));
    }
    case "unix":
      return [() => listenUnix(endpoint.path, ports)];
    case "systemd": {
      const { name } = endpoint;
      const passed = ports.passedSockets.filter((socket) => name === undefined || socket.name === name);
      if (passed.length === 0) throw new entryErrors.OPERATOR_SOCKET_NOT_PASSED(name);
      return passed.map(
        ({ fd }) =>
          () =>
            listen({ fd }),
      );
    }
  }
}

async function listen(options: ListenOptions & { readonly fd?: number }): Promise<Server> {
  // Paused, so that whoever takes a stream reads all of it; half-open, because a client may end its side first.
  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true, noDelay: true, ...probing });
  server.listen({ ...options, backlog: maxWaiting });
  await once(server, "listening");
  return server;
}

async function listenUnix(path: string, { owner }: EntryPorts): Promise<Server> {
  await removeStale(path);
  const server = await madePrivately(() => listen({ path }));
  try {
    if (owner !== undefined) lchownSync(path, owner.uid, owner.gid);
    chmodSync(path, socketMode);
  } catch (error) {
    server.close();
    throw error;
  }
  return server;
}

/** Removes a socket file that nobody listens on any more; anything else in its place stays, and binding will fail. */
async function removeStale(path: string): Promise<void> {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined || !stat.isSocket()) return;
  const socket = connect({ path });
  try {
    await once(socket, "connect");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ECONNREFUSED") unlinkSync(path);
  } finally {
    socket.destroy();
  }
}

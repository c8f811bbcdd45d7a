import { unlinkSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { madePrivately } from "#base";
import { clientErrors } from "../errors.ts";
import { reasonOf } from "../dial.ts";
import { formatPlace, type ListenPlace } from "./spec.ts";

/** Local sockets that take connections for one forwarding, until disposed of. */
export interface LocalListener extends AsyncDisposable {
  /** The first of them, as bound. */
  readonly place: ListenPlace;
}

export interface ListenOptions {
  /** Take the place of a socket file that is there already. */
  readonly unlink?: boolean;
}

/** What stands behind "loopback" and "everywhere" when no address is named. */
const loopback = ["127.0.0.1", "::1"];

/**
 * Listens on TCP or on a UNIX socket that only its owner may use. "localhost" and no address are both loopback addresses; that one
 * of them cannot be had is no failure. Throws OPERATOR_CLIENT_LISTEN.
 */
export async function listenLocal(
  place: ListenPlace,
  take: (socket: Socket) => void,
  options: ListenOptions = {},
): Promise<LocalListener> {
  if (place.kind === "unix") {
    const server = await listenUnix(place.path, take, options);
    return { place, [Symbol.asyncDispose]: () => close([server]) };
  }
  const hosts =
    place.host === undefined || place.host === "localhost"
      ? loopback
      : [place.host === "" ? "::" : place.host];
  const servers: Server[] = [];
  let failure: unknown;
  let { port } = place;
  let bound = "";
  for (const host of hosts) {
    try {
      const server = await listening(newServer(take), { host, port }, place);
      const address = server.address();
      if (address !== null && typeof address === "object") port = address.port;
      bound ||= host;
      servers.push(server);
    } catch (error) {
      failure ??= error;
      // The second one of a pair: somebody else has it, or there is no IPv6 here.
      if (servers.length === 0 && isTaken(error)) break;
    }
  }
  if (servers.length === 0) throw failure;
  return {
    place: { kind: "tcp", host: place.host === "" ? "" : bound, port },
    [Symbol.asyncDispose]: () => close(servers),
  };
}

function newServer(take: (socket: Socket) => void): Server {
  return createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true }, take);
}

async function listenUnix(
  path: string,
  take: (socket: Socket) => void,
  { unlink = false }: ListenOptions,
): Promise<Server> {
  if (unlink) {
    try {
      unlinkSync(path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw cannot({ kind: "unix", path }, error);
    }
  }
  return await madePrivately(() => listening(newServer(take), { path }, { kind: "unix", path }));
}

function listening(
  server: Server,
  where: { host: string; port: number } | { path: string },
  place: ListenPlace,
): Promise<Server> {
  return new Promise((resolve, reject) => {
    server.once("error", (error) => reject(cannot(place, error)));
    server.listen(where, () => {
      server.removeAllListeners("error");
      // Too many open files: what waits in the kernel is taken later.
      server.on("error", () => {});
      resolve(server);
    });
  });
}

function isTaken(error: unknown): boolean {
  return (error as { cause?: NodeJS.ErrnoException }).cause?.code === "EADDRINUSE";
}

function cannot(place: ListenPlace, cause: unknown): Error {
  const { code } = cause as NodeJS.ErrnoException;
  const where = formatPlace(place);
  const reasons: Readonly<Record<string, string>> = {
    EADDRINUSE:
      place.kind === "unix"
        ? "the file is there already; remove it if nobody listens on it"
        : "another program has that port; choose another one, or end that program",
    EACCES:
      place.kind === "tcp" && place.port < 1024
        ? "ports below 1024 are for root; choose a higher one"
        : "permission denied",
    EADDRNOTAVAIL: "this machine has no such address",
  };
  const reason = reasons[code ?? ""] ?? reasonOf(cause);
  return new clientErrors.OPERATOR_CLIENT_LISTEN(`Cannot listen on ${where}: ${reason}.`, { cause });
}

async function close(servers: readonly Server[]): Promise<void> {
  await Promise.all(servers.map((server) => new Promise<void>((resolve) => server.close(() => resolve()))));
}

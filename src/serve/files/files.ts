import type { FilesDesk, FilesServer, ServedSession, ServerPorts } from "#contract";
import { type ChannelOffer, ConnectionMux } from "#ssh/connection";
import { heartbeat } from "../heartbeat.ts";
import { FilesSession } from "./session.ts";

/** A file server: its clients get SFTP, and nothing else. */
export function createFiles({ clock }: ServerPorts): FilesServer {
  return {
    kind: "files",
    serve: async (session) => {
      const mux = new ConnectionMux(session.conn, {
        limits: { maxChannels: session.maxChannels },
        globalRequest: async (request) => (await session.hostKeys?.prove(request)) ?? false,
        channels: new Map([["session", (offer: ChannelOffer) => void new FilesSession(offer, session)]]),
      });
      const { hostKeys } = session;
      if (hostKeys !== undefined) mux.notify(hostKeys.type, hostKeys.data);
      using _ = heartbeat(mux, session, clock);
      return await mux.ended;
    },
  };
}

/** A client that is served files. */
export type FilesClient = Omit<ServedSession, "desk"> & { readonly desk: FilesDesk };

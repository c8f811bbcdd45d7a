import { defineErrors, type ErrorTable } from "#base";

const rows = {
  PEER_TOO_MANY_REQUESTS: {
    user: "Too many requests wait for an answer.",
    operator: "a peer sent more requests than may wait for an answer",
  },
  PEER_UNASKED_ANSWER: {
    user: "The other side answered a request that nobody made.",
    operator: "a peer answered a global request that it was never sent",
  },
  PEER_SILENT: {
    disconnect: 10,
    user: "The connection was silent for too long.",
    operator: "the client answered no keepalive in time",
  },
  UPSTREAM_SILENT: {
    disconnect: 10,
    user: "The host behind the gateway no longer answers.",
    operator: "the upstream answered no keepalive in time",
  },
  UPSTREAM_CLOSED: {
    disconnect: 10,
    user: "The host behind the gateway closed the connection.",
    operator: "the upstream's stream ended without SSH_MSG_DISCONNECT",
  },
  UPSTREAM_BROKE_PROTOCOL: {
    user: "The host behind the gateway sent something that is not valid SSH.",
    operator: "the upstream broke the protocol",
  },
} as const;

export const pipeErrors: ErrorTable<typeof rows> = defineErrors(rows);

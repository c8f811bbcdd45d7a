import { defineErrors, type ErrorTable } from "#base";

const rows = {
  PEER_HANDSHAKE_TIMEOUT: {
    disconnect: 2,
    user: "The key exchange took too long.",
    operator: "the peer did not complete the key exchange in time",
  },
  PEER_STREAM_ENDED: {
    user: "The connection ended before the key exchange was complete.",
    operator: "the peer closed the connection during the key exchange",
  },
  PEER_DISCONNECTED: {
    user: "The other side ended the connection.",
    operator: "the peer sent SSH_MSG_DISCONNECT during the key exchange",
  },
  BUG_UNEXPECTED_THROW: {
    user: "The gateway made an error; its log says more.",
    operator: "something was thrown that is no error of ours",
  },
} as const;

export const linkErrors: ErrorTable<typeof rows> = defineErrors(rows);

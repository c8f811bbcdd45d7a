import { defineErrors, type ErrorTable } from "#base";

/** The detail of each of these is a whole sentence for the person: what happened, what to do. */
const rows = {
  UPSTREAM_CLIENT_UNREACHABLE: {
    user: "The server could not be reached.",
    operator: "the client commands could not reach the server",
  },
  UPSTREAM_CLIENT_HANDSHAKE: {
    user: "The server could not be spoken with.",
    operator: "the client commands found no SSH server, or none that they could speak with",
  },
  UPSTREAM_CLIENT_HOST_KEY: {
    user: "The server's host key was not accepted.",
    operator: "the server's host key is unknown, changed or revoked",
  },
  UPSTREAM_CLIENT_LOST: {
    user: "The connection was lost.",
    operator: "the connection to the server ended",
  },
  UPSTREAM_CLIENT_GATE: {
    user: "The gate did not let the connection pass.",
    operator: "a proxy or gate answered otherwise than by opening the way",
  },
  DENIED_CLIENT_LOGIN: {
    user: "The server refused the login.",
    operator: "the server took none of what the client could log in with",
  },
  DENIED_CLIENT_CHANNEL: {
    user: "The server refused.",
    operator: "the server refused to open a channel or to listen",
  },
  OPERATOR_CLIENT_CONFIG: {
    user: "The client's configuration cannot be used.",
    operator: "an ssh_config file cannot be used",
  },
  OPERATOR_CLIENT_KEY: {
    user: "A key of the client cannot be used.",
    operator: "a key, certificate or agent of the client cannot be used",
  },
  OPERATOR_CLIENT_ARGUMENT: {
    user: "What was asked of the client makes no sense.",
    operator: "a destination or forwarding of the client commands cannot be understood",
  },
  OPERATOR_CLIENT_LISTEN: {
    user: "The client cannot listen.",
    operator: "a local port or socket of a forwarding cannot be opened",
  },
  OPERATOR_CLIENT_X11: {
    user: "X11 cannot be forwarded.",
    operator: "there is no display to forward, or no cookie for untrusted programs",
  },
  PEER_X11_REFUSED: {
    user: "A program that wanted to draw on the display was sent away.",
    operator: "an X11 connection that the server opened did not show the cookie that it was given",
  },
  PEER_SOCKS_INVALID: {
    user: "This port speaks SOCKS 4, 4a and 5; what came was something else.",
    operator: "a program at a SOCKS port did not speak SOCKS",
  },
} as const;

export const clientErrors: ErrorTable<typeof rows> = defineErrors(rows);

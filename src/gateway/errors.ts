import { defineErrors, type ErrorTable } from "#base";

const rows = {
  OPERATOR_RULE_INVALID: {
    user: "The gateway is misconfigured.",
    operator: "a rule cannot work as it is written",
  },
  PEER_LOGIN_GRACE: {
    disconnect: 11,
    user: "You took too long to log in.",
    operator: "the client did not log in within the grace time",
  },
  DENIED_SHUTTING_DOWN: {
    disconnect: 11,
    user: "This gateway is shutting down. Try again in a moment.",
    operator: "the session was ended because the gateway stops",
  },
  DENIED_BY_OPERATOR: {
    disconnect: 11,
    user: "The administrator of this gateway ended the session.",
    operator: "the session was ended by the operator",
  },
  DENIED_TARGET: {
    disconnect: 1,
    user: "There is no such target here, or it is not for you.",
    operator: "a client asked for a target that no rule gives it",
  },
  DENIED_FORWARDING: {
    user: "This way on is not allowed here.",
    operator: "a client asked a jump host for what its key, certificate or rule forbids",
  },
  PEER_LEFT_TARGET: {
    user: "The connection was closed.",
    operator: "the client of a jump host left before its target had answered",
  },
  BUG_SESSION: {
    user: "The gateway made an error; its log says more.",
    operator: "a session ended by an error that nobody expected",
  },
  UPSTREAM_ADDRESSES_FAILED: {
    user: "The server behind this gateway cannot be reached.",
    operator: "no address of the upstream could be reached",
  },
  UPSTREAM_HANDSHAKE_FAILED: {
    user: "The server behind this gateway answered, but no secure connection to it could be made.",
    operator: "the SSH handshake with the upstream failed",
  },
  UPSTREAM_HOST_KEY_MISMATCH: {
    user: "The host key of the server behind this gateway is not the one on record for it: somebody may be in between, or the server was set up anew. The login was stopped; tell the gateway's administrator.",
    operator: "the upstream's host key is not the one on record",
  },
  UPSTREAM_HOST_KEY_REVOKED: {
    user: "The host key of the server behind this gateway has been revoked. The login was stopped; tell the gateway's administrator.",
    operator: "the upstream's host key is marked as revoked",
  },
  UPSTREAM_HOST_KEY_UNKNOWN: {
    user: "The host key of the server behind this gateway is not on record, so it cannot be trusted. Tell the gateway's administrator.",
    operator: "no host key is on record for the upstream",
  },
  UPSTREAM_LOGIN_REFUSED: {
    user: "The server behind this gateway refused the gateway's login. Tell the gateway's administrator.",
    operator: "the upstream refused every credential of the rule",
  },
  UPSTREAM_LOGIN_TIMEOUT: {
    user: "The server behind this gateway took too long to answer the login.",
    operator: "the upstream did not finish the login in time",
  },
  UPSTREAM_LOST: {
    user: "The connection to the server behind this gateway was lost.",
    operator: "the upstream closed or lost the connection",
  },
} as const;

export const gatewayErrors: ErrorTable<typeof rows> = defineErrors(rows);

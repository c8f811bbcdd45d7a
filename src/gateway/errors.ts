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
  DENIED_SESSION_TIME: {
    disconnect: 11,
    user: "This session has lasted as long as it may. Log in again to go on.",
    operator: "the session was ended when the time was over that its login gave it",
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
  DENIED_MENU_IDLE: {
    disconnect: 11,
    user: "Nothing was chosen for too long. Connect again to see the list.",
    operator: "nobody touched the menu for ten minutes",
  },
  PEER_LEFT_TARGET: {
    user: "The connection was closed.",
    operator: "the client of a jump host left before its target had answered",
  },
  DENIED_AGENT_NOT_OFFERED: {
    disconnect: 14,
    user: "The server behind this gateway is entered with your own key, so the gateway needs your agent: connect with `ssh -A`, or write `ForwardAgent yes` for this host into your ssh_config. The gateway keeps no key of its own.",
    operator: "the client forwarded no agent, and the rule has no other credential",
  },
  DENIED_AGENT_NO_SESSION: {
    disconnect: 14,
    user: "The server behind this gateway is entered with your own key, and your agent can be asked only through a session: connect with `ssh -A` and without `-N`, or open a session in time.",
    operator: "the client opened no session in which it could have forwarded its agent",
  },
  DENIED_AGENT_EMPTY: {
    disconnect: 14,
    user: "Your agent holds no key that may be used here. Add one with `ssh-add`; `ssh-add -l` lists them.",
    operator: "the client's agent has no usable key",
  },
  DENIED_AGENT_KEYS: {
    disconnect: 14,
    user: "The server behind this gateway takes none of the keys that your agent offered. `ssh-add -l` lists them; the right one must be among the first that it has.",
    operator: "the upstream refused every key of the client's agent that it was asked about",
  },
  DENIED_AGENT_REFUSED: {
    disconnect: 14,
    user: "Your agent refused to sign for the server behind this gateway: it may be locked, its key may be restricted to other hosts, or nobody confirmed.",
    operator: "the client's agent, or the client itself, refused what was asked",
  },
  DENIED_AGENT_SILENT: {
    disconnect: 14,
    user: "Your agent did not answer in time. If it waits for a confirmation or a touch, try again and give it.",
    operator: "the client's agent did not answer in time",
  },
  DENIED_AGENT_BROKEN: {
    disconnect: 14,
    user: "Your agent answered with something that makes no sense, or with more than an agent may.",
    operator: "the client's agent does not keep to the agent protocol",
  },
  DENIED_AGENT_GONE: {
    disconnect: 14,
    user: "Your agent ended the conversation before it had signed.",
    operator: "the client closed the channel to its agent",
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
  UPSTREAM_FILE_UNREADABLE: {
    user: "The gateway could not read a file of the server behind it. Tell the gateway's administrator.",
    operator: "a file of the upstream could not be read over SFTP",
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
  UPSTREAM_NO_SFTP: {
    user: "The server behind this gateway has no SFTP for this login.",
    operator: "the host of a mount opens no channel for SFTP",
  },
  UPSTREAM_LOST: {
    user: "The connection to the server behind this gateway was lost.",
    operator: "the upstream closed or lost the connection",
  },
} as const;

export const gatewayErrors: ErrorTable<typeof rows> = defineErrors(rows);

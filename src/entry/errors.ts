import { defineErrors, type ErrorTable } from "#base";

const rows = {
  OPERATOR_LISTEN_FAILED: {
    user: "The gateway is not set up correctly.",
    operator: "an address cannot be listened on",
  },
  OPERATOR_SOCKET_NOT_PASSED: {
    user: "The gateway is not set up correctly.",
    operator: "the configuration names a socket of systemd's that was not passed to this process",
  },
  PEER_PROXY_HEADER: {
    user: "The proxy in front of this gateway does not speak as it should.",
    operator: "a trusted proxy did not begin with a PROXY protocol header",
  },
  PEER_CLIENT_HELLO: {
    user: "The TLS handshake cannot be read.",
    operator: "a client began TLS with something that is no proper hello",
  },
  PEER_TLS: {
    user: "The TLS handshake failed.",
    operator: "the TLS handshake with the client failed",
  },
  PEER_WEBSOCKET: {
    user: "The WebSocket failed.",
    operator: "a client's WebSocket broke the protocol, sent text, or fell silent",
  },
  OPERATOR_TLS_CERTIFICATE: {
    user: "The gateway is not set up correctly.",
    operator: "a certificate for TLS or its key cannot be used",
  },
  PEER_NOT_TAKEN: {
    user: "This gateway does not speak that here.",
    operator: "the client speaks what this listener does not take",
  },
  PEER_LEFT_EARLY: {
    user: "The connection ended before it had said what it wanted.",
    operator: "the client left before it had said what it wanted",
  },
} as const;

export const entryErrors: ErrorTable<typeof rows> = defineErrors(rows);

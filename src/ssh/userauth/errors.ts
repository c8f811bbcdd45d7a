import { defineErrors, type ErrorTable } from "#base";

const rows = {
  PEER_SERVICE_UNKNOWN: {
    disconnect: 7,
    user: "The service asked for is not available here.",
    operator: "the peer named a service that is not offered",
  },
  PEER_USER_NAME_INVALID: {
    disconnect: 15,
    user: "The user name is too long or holds control characters.",
    operator: "the client sent a user name that is too long or holds control characters",
  },
  PEER_RESPONSE_COUNT: {
    user: "The number of answers is not the number of questions.",
    operator: "a keyboard-interactive response does not have one answer for each prompt",
  },
  PEER_KEY_NOT_OFFERED: {
    user: "The server accepted a key that was not offered.",
    operator: "the server's PK_OK names another key or algorithm than the one that was offered",
  },
  PEER_USERAUTH_FLOODED: {
    user: "Too much was sent during authentication.",
    operator:
      "the peer exceeded a limit of user authentication on banners, rounds, prompts or service requests",
  },
  DENIED_TOO_MANY_ATTEMPTS: {
    user: "Too many authentication failures.",
    operator: "the client used up its tries",
  },
  BUG_USERAUTH_CALL: {
    user: "The gateway made an error; its log says more.",
    operator: "user authentication was called in a state that does not allow it",
  },
} as const;

export const userauthErrors: ErrorTable<typeof rows> = defineErrors(rows);

import { defineErrors, type ErrorTable } from "#base";

const rows = {
  PEER_WINDOW_EXCEEDED: {
    user: "The other side sent more data than it was allowed to.",
    operator: "the peer sent more data than the window or the maximum packet size of the channel admits",
  },
  PEER_WINDOW_OVERFLOW: {
    user: "The other side opened a window beyond its limit.",
    operator: "the peer's window adjustments for a channel exceed 2³²-1 bytes",
  },
  PEER_CHANNEL_UNKNOWN: {
    user: "The other side spoke of a channel that is not open.",
    operator: "the peer sent a message for a channel that is not open",
  },
  PEER_CHANNEL_ORDER: {
    user: "The other side sent a channel message that was not due.",
    operator: "the peer sent a message that the channel's state does not admit",
  },
  PEER_REPLY_UNASKED: {
    user: "The other side answered a question that was not asked.",
    operator: "the peer answered a request or an open that was not made",
  },
  PEER_REQUESTS_FLOODED: {
    user: "The other side sent too many requests at once.",
    operator: "the peer has more unanswered requests than allowed",
  },
  BUG_CONNECTION_CALL: {
    user: "The gateway made an error; its log says more.",
    operator: "a connection or a channel was called in a state that does not allow it",
  },
} as const;

export const connectionErrors: ErrorTable<typeof rows> = defineErrors(rows);

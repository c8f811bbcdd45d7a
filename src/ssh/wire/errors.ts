import { defineErrors, type ErrorTable } from "#base";

const rows = {
  PEER_MESSAGE_TRUNCATED: {
    user: "The other side sent a message that ends too early.",
    operator: "a message ended before its last field",
  },
  PEER_MESSAGE_TRAILING: {
    user: "The other side sent a message with bytes after its end.",
    operator: "a message had bytes after its last field",
  },
  PEER_FIELD_INVALID: {
    user: "The other side sent a message with a field that makes no sense.",
    operator: "a field of a message held a value that its type forbids",
  },
  BUG_FIELD_UNENCODABLE: {
    user: "The gateway made an error; its log says more.",
    operator: "a value does not fit the field that it was to be written to",
  },
} as const;

export const wireErrors: ErrorTable<typeof rows> = defineErrors(rows);

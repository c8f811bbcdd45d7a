import { defineErrors, type ErrorTable } from "#base";

const rows = {
  PEER_NOT_SSH: {
    disconnect: 8,
    user: "This port speaks SSH; what came was not an SSH version line.",
    operator: "the peer's first bytes were not an SSH version line",
  },
  PEER_VERSION_LINE_TOO_LONG: {
    disconnect: 8,
    user: "The SSH version line is too long.",
    operator: "the peer sent more bytes than allowed before its version line ended",
  },
  MISMATCH_VERSION: {
    disconnect: 8,
    user: "Only SSH protocol version 2 is spoken here.",
    operator: "the peer speaks another version of the SSH protocol",
  },
  PEER_UNEXPECTED_MESSAGE: {
    user: "The other side sent a message that was not due.",
    operator: "a message came in a state that does not admit it",
  },
  MISMATCH_ALGORITHM: {
    disconnect: 3,
    user: "There is no algorithm that both sides know.",
    operator: "the two offers have no algorithm in common",
  },
  PEER_SIGNATURE_INVALID: {
    disconnect: 3,
    user: "The signature by the host key is wrong.",
    operator: "the signature over the exchange hash does not fit the host key",
  },
  PEER_FLOODED: {
    user: "Too much was sent while keys were being exchanged.",
    operator: "the queue of what waits for the end of a key exchange is full",
  },
  PEER_KEYS_WORN_OUT: {
    user: "The encryption keys were used for too long.",
    operator: "2³² packets passed under the same keys, because the peer did not complete a key exchange",
  },
  BUG_ENGINE_MISUSED: {
    user: "The gateway made an error; its log says more.",
    operator: "the transport engine was called in a state that does not allow it",
  },
} as const;

export const transportErrors: ErrorTable<typeof rows> = defineErrors(rows);

import { defineErrors, type ErrorTable } from "#base";

const rows = {
  PEER_PACKET_LENGTH: {
    disconnect: 2,
    user: "The other side sent a packet whose length makes no sense.",
    operator: "a packet was too long, too short or not a multiple of the cipher's block",
  },
  PEER_MAC_INVALID: {
    disconnect: 5,
    user: "A packet was damaged or forged on its way; please connect again.",
    operator: "a packet's authentication tag was wrong",
  },
  PEER_KEX_VALUE: {
    disconnect: 3,
    user: "The other side sent a key exchange value that is not valid.",
    operator: "a key exchange value had a wrong length or lay outside its group",
  },
  BUG_CIPHER_WIPED: {
    user: "The gateway made an error; its log says more.",
    operator: "a packet cipher was used after its keys were dropped",
  },
  BUG_CIPHER_FAILED: {
    user: "The gateway made an error; its log says more.",
    operator: "the native part of a packet cipher failed; POSTERN_NATIVE=off goes on without it",
  },
  BUG_CIPHER_MAC: {
    user: "The gateway made an error; its log says more.",
    operator: "a packet cipher was made with a MAC it does not take, or without the one it needs",
  },
  BUG_RANDOM_STUCK: {
    user: "The gateway made an error; its log says more.",
    operator: "the source of randomness gave no usable private key",
  },
  BUG_SIGNATURE_KEY: {
    user: "The gateway made an error; its log says more.",
    operator: "a signature algorithm was given a key of another type",
  },
} as const;

export const algorithmErrors: ErrorTable<typeof rows> = defineErrors(rows);

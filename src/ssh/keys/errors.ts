import { defineErrors, type ErrorTable } from "#base";

const rows = {
  PEER_KEY_INVALID: {
    user: "The other side sent a public key that makes no sense, or is of a kind that is not known here.",
    operator: "a public key from a peer could not be decoded",
  },
  PEER_CERTIFICATE_INVALID: {
    user: "The other side sent a certificate that makes no sense, or whose signature is wrong.",
    operator: "a certificate from a peer could not be decoded, or its authority's signature is wrong",
  },
  OPERATOR_KEY_INVALID: {
    user: "The gateway has a key that it cannot read; its operator must look at it.",
    operator: "a key file is damaged, or no key at all",
  },
  OPERATOR_KEY_UNSUPPORTED: {
    user: "The gateway has a key of a kind that it cannot use; its operator must look at it.",
    operator: "a key file is of a kind that cannot be used here",
  },
  OPERATOR_REVOCATION_LIST_INVALID: {
    user: "The gateway has a list of revoked keys that it cannot read; its operator must look at it.",
    operator: "a file of revoked keys is neither a KRL that is understood whole nor a list of public keys",
  },
  OPERATOR_KEY_PASSPHRASE_NEEDED: {
    user: "The gateway has a key that it cannot open; its operator must look at it.",
    operator: "a private key is encrypted and no passphrase was given",
  },
  OPERATOR_KEY_PASSPHRASE_WRONG: {
    user: "The gateway has a key that it cannot open; its operator must look at it.",
    operator: "the passphrase does not open the private key",
  },
  BUG_KEY_ALGORITHM: {
    user: "The gateway made an error; its log says more.",
    operator: "a key was asked for a signature algorithm that it cannot do",
  },
  BUG_CERTIFICATE_CONTENTS: {
    user: "The gateway made an error; its log says more.",
    operator: "a certificate was to be signed that no certificate should be",
  },
  BUG_KEY_HOST_NAME: {
    user: "The gateway made an error; its log says more.",
    operator: "a host name that cannot stand in a known_hosts line was to be written to one",
  },
} as const;

export const keyErrors: ErrorTable<typeof rows> = defineErrors(rows);

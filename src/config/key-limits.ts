import type { FixedLimit } from "./fixed-limits.ts";

/** Of where keys come from. */
export const keyLimits: readonly FixedLimit[] = [
  {
    constant: "auth/publickey/fetch:maxAnswerBytes",
    value: 256 * 1024,
    unit: "bytes",
    about: "An answer of an address that is asked for public keys.",
    precedent: "None in OpenSSH, which leaves it to a program (AuthorizedKeysCommand)",
  },
  {
    constant: "auth/publickey/sources:maxUpstreamFileBytes",
    value: 256 * 1024,
    unit: "bytes",
    about: "A file of public keys that is read from an upstream.",
    precedent: "As above",
  },
  {
    constant: "auth/publickey/key-cache:maxAnswers",
    value: 1000,
    unit: "count",
    about: "Answers with keys that one login method remembers, and as many without.",
    precedent: "None",
  },
  {
    constant: "auth/revocation/revocation:maxListBytes",
    value: 4 * 1024 * 1024,
    unit: "bytes",
    about: "A file of revoked keys.",
    precedent: "OpenSSH reads up to 128 MiB; a hundred thousand keys fit into this",
  },
];

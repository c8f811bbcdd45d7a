/**
 * totp: proof by a code that changes every 30 seconds (RFC 6238).
 *
 * Law: knows how codes are made, and which were taken; never a rule or the upstream. HMAC and base32 are the library's.
 */
export { base32, codeAt, otpauthAddress } from "./code.ts";
export { totpErrors } from "./errors.ts";
export { SpentCodes } from "./spent-codes.ts";
export { totp, type TotpConfig } from "./totp.ts";

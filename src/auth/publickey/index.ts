/**
 * publickey: proof by a key or certificate.
 *
 * Law: says whose key may come in; that the bearer holds it was proven before, in `ssh/userauth`.
 */
export { publicKeyErrors } from "./errors.ts";
export { publickey } from "./publickey.ts";
export { restrictionsOf } from "./restrictions.ts";
export type { PublicKeyConfig } from "./schema.ts";

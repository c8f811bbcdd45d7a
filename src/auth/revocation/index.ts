/**
 * revocation: keys that are out.
 *
 * Law: reads lists of revoked keys at each use; one that cannot be read revokes everything.
 */
export { openRevocation } from "./revocation.ts";

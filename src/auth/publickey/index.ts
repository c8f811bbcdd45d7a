/**
 * publickey: proof by a key or certificate.
 *
 * Law: says whose key may come in; that the bearer holds it was proven before, in `ssh/userauth`.
 */
export { publickey, type PublicKeyConfig, publicKeyErrors } from "./publickey.ts";

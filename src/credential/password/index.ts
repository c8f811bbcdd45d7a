/**
 * password: a stored password.
 *
 * Law: gives it to the upstream's login and to nothing else.
 */
export { storedPassword, type StoredPasswordConfig } from "./password.ts";

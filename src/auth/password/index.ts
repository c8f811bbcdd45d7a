/**
 * password: proof by a password.
 *
 * Law: knows hashes and how to compare them; never a user list, a rule or the upstream. A password leaves it in no form.
 */
export { passwordErrors } from "./errors.ts";
export { hashPassword, parsePasswordHash, type PasswordHash, plainPassword } from "./hash.ts";
export { password, type PasswordConfig } from "./password.ts";

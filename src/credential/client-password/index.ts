/**
 * client-password: the client's own password, sent on.
 *
 * Law: keeps nothing.
 */
export { clientPassword, type ClientPasswordConfig } from "./client-password.ts";

/**
 * key: a stored private key.
 *
 * Law: signs what the upstream's login asks for, and nothing else.
 */
export { key, type KeyConfig } from "./key.ts";

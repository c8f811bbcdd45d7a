/**
 * none: no proof at all.
 *
 * Law: holds nothing.
 */
export { none, type NoneConfig } from "./none.ts";

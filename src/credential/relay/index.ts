/**
 * relay: the client's own answers, sent on as they come.
 *
 * Law: keeps nothing.
 */
export { relay, type RelayConfig } from "./relay.ts";

/**
 * relay: the upstream asks, the client answers.
 *
 * Law: judges nothing and keeps nothing. To a name that leads nowhere it asks what most upstreams ask.
 */
export { relay, type RelayConfig } from "./relay.ts";

/**
 * reach: how a target that was decided on becomes a stream.
 *
 * Law: asks the pool for an address, has a dialer connect, says for whom if the target wants to know, and holds the stream to its
 * bandwidth. It knows no rule and no SSH.
 */
export { reachErrors } from "./errors.ts";
export { encodeProxyHeader, type ProxyVersion } from "./proxy-header.ts";
export { type ReachTarget, TargetReach, type TargetReachParts } from "./reach.ts";
export { ByteBucket, Pacer } from "./pacer.ts";
export { Throttled } from "./throttled.ts";

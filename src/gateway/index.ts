/**
 * gateway: the story of one session, from admission to its end.
 *
 * Law: knows ports of contract/, never an adapter. One owner for each session's resources; one place where what was thrown becomes
 * last words. Only here are a Principal and a Route made.
 */
export { Acceptor, type AcceptorOptions } from "./acceptor.ts";
export { Admission, type AdmissionLimits, type Refusal, type Ticket } from "./admission.ts";
export { gatewayErrors } from "./errors.ts";
export { FailureDelays, type FailureDelayOptions } from "./failure-delays.ts";
export { Gateway, type GatewayOptions } from "./gateway.ts";
export { PinnedKeys } from "./host-key.ts";
export { enterHop, type HopPlan } from "./hop.ts";
export type { GatewayLimits } from "./limits.ts";
export type { LinkSettings } from "./link-settings.ts";
export { type Explanation, Router, type RouteQuery, type RuleExplanation } from "./router.ts";
export { Session, type SessionOptions } from "./session.ts";
export { takesUser } from "./splice-match.ts";
export { plainName, type TargetExplanation, TargetRouter } from "./target-router.ts";
export type { World } from "./world.ts";

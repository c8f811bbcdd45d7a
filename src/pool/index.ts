/**
 * pool: which address of a target comes next, and how many may come at all.
 *
 * Law: counts and decides, for all processes of a gateway together; connects to nothing by itself. Checks get their streams
 * from outside. It knows no session, only places that are held and given back.
 */
export { HealthChecks, type HealthTarget } from "./checks.ts";
export { probe } from "./probe.ts";
export { PoolRegistry, type PoolTarget } from "./registry.ts";

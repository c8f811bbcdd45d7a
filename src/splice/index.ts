/**
 * splice: two streams joined byte by byte, nothing looked at.
 *
 * Law: knows bytes and their ends; no SSH, no name, no rule. What waits is never more than one read in each direction.
 */
export { Splice, type SpliceEnd } from "./splice.ts";

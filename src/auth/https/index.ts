/**
 * https: one question to an address, bounded in time and size.
 *
 * Law: knows no product and follows no redirect; whoever asks says what an answer means.
 */
export { type Answer, askAddress, authoritiesIn, type Question } from "./ask.ts";
export { problemOf } from "./problem.ts";

/**
 * jsonl: the audit as JSON lines in a file.
 *
 * Law: only ever adds to the file.
 */
export { jsonl, type JsonlConfig } from "./jsonl.ts";

/**
 * store: what is administered at run time, kept. This door is the list of what exists.
 *
 * Law: keeps and finds; decides nothing. Every change is whole or not at all, and is there after a crash.
 */
export { openMemoryStore } from "./memory/index.ts";
export { openSqliteStore, type SqliteOptions } from "./sqlite/index.ts";

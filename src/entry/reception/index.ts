/**
 * reception: several protocols on one port, told apart by how they begin, and the name of the target that each brings.
 *
 * Law: reads no more than it must to know, in bytes and in time, and puts back what it read. Asks who may; never decides it.
 */
export { createReception } from "./reception.ts";
export { nameInVersion } from "./version-name.ts";

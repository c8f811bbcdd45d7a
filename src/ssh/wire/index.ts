/**
 * wire: bytes <-> values (RFC 4251, section 5).
 *
 * Law: knows the data types of SSH and nothing else: no message, no number, no algorithm. The only room where `!` is allowed,
 * behind a length check.
 */
export { wireErrors } from "./errors.ts";
export { latin1, Reader } from "./reader.ts";
export { Writer } from "./writer.ts";

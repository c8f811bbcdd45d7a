/**
 * command: a stream that a program of the operator's makes.
 *
 * Law: no shell, nothing of our environment, and nothing that a client says but hosts and ports; what it starts ends with the stream.
 */
export { command, type CommandConfig } from "./command.ts";

/**
 * ssh: plain SSH on a listening socket.
 *
 * Law: binds and hands over; reads no byte of what arrives.
 */
export { ssh, type SshEntryConfig } from "./ssh.ts";

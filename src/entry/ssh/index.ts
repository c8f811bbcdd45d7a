/**
 * ssh: plain SSH on a listening socket.
 *
 * Law: binds and hands over; reads no byte of what arrives, but for the header of a proxy that is believed.
 */
export { ssh, type SshEntryConfig, type SshEntryPoint } from "./ssh.ts";

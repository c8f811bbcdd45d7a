/**
 * tcp: a stream by TCP.
 *
 * Law: connects and nothing else: no byte is read or written here.
 */
export { tcp, type TcpConfig } from "./tcp.ts";

/**
 * socks5: a stream over an outgoing SOCKS proxy.
 *
 * Law: speaks with the proxy until the stream is the upstream's, and not a byte longer.
 */
export { socks5, type Socks5Config } from "./socks5.ts";

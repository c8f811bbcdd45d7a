/**
 * http-proxy: a stream over an outgoing HTTP proxy.
 *
 * Law: speaks with the proxy until the stream is the upstream's, and not a byte longer.
 */
export { httpProxy, type HttpProxyConfig } from "./http-proxy.ts";

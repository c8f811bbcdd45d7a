/**
 * proxy-protocol: who is behind a proxy that we trust, as it says itself.
 *
 * Law: decodes bytes; whom to believe is the caller's to say.
 */
export { decodeProxyHeader, maxProxyHeaderBytes, type ProxyHeader, readProxyHeader } from "./header.ts";

import type { Duplex } from "node:stream";
import { connect } from "node:tls";

/**
 * TLS to a device's own server, for one that speaks nothing else. Who it is the tunnel has proven by the device's key, so its certificate,
 * which nobody has signed, is not looked at.
 */
export function encrypted(stream: Duplex, host: string): Duplex {
  const name = host.replace(/:\d+$/, "");
  const secure = connect({
    socket: stream,
    rejectUnauthorized: false,
    ALPNProtocols: ["http/1.1"],
    // Addresses are no names (RFC 6066, section 3).
    ...(/^[\d.]+$|[[:]/.test(name) ? {} : { servername: name }),
  });
  secure.on("error", () => {});
  secure.once("close", () => stream.destroy());
  stream.once("close", () => secure.destroy());
  return secure;
}

import { isHost } from "#base";
import { isIP } from "node:net";

/** Whether the gateway will dial it: a host name or an address. What ends like a number ("127.1") must be a plain address. */
export function isUpstreamHost(host: string): boolean {
  const last = host.replace(/\.$/, "").split(".").at(-1) ?? "";
  return isHost(host) && (isIP(host) !== 0 || !/^(?:[0-9]+|0x[0-9a-f]*)$/i.test(last));
}

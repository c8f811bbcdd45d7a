import { isIPv6 } from "node:net";
import { Cidr, parsePort } from "./net.ts";
import { baseErrors } from "./rows.ts";

/** Addresses at which something may have arrived: one, or a range, or any; with one port or with all. */
export class Place {
  readonly text: string;
  /** Absent: any address. */
  readonly range: Cidr | undefined;
  /** Absent: any port. */
  readonly port: number | undefined;

  /** `192.0.2.1`, `192.0.2.0/24`, `192.0.2.1:2201`, `2001:db8::/64`, `[2001:db8::1]:2201`, `:2201`. Throws OPERATOR_ADDRESS_INVALID. */
  constructor(text: string) {
    const [, bracketed, plain, portText] = /^(?:\[([^\]]*)\]|([^:[\]]*))(?::([^:]*))?$/.exec(text) ?? [];
    const whole = isIPv6(text.replace(/\/.*$/, "")) ? text : (bracketed ?? plain);
    this.text = text;
    if (whole === undefined || (whole === "" && portText === undefined))
      throw new baseErrors.OPERATOR_ADDRESS_INVALID(
        `"${text}": write an address or a range, with or without a port: 192.0.2.1, 192.0.2.1:2201, 2001:db8::/64, "[2001:db8::1]:2201"`,
      );
    this.range = whole === "" ? undefined : new Cidr(whole);
    const port = whole === text ? undefined : portText;
    this.port = port === undefined ? undefined : parsePort(port);
    if (port !== undefined && !(this.port !== undefined && this.port > 0))
      throw new baseErrors.OPERATOR_ADDRESS_INVALID(`"${text}": a port is 1 to 65535`);
  }

  /** `ip` is an address in its shortest form. */
  contains({ ip, port }: { readonly ip: string; readonly port: number }): boolean {
    return (this.port === undefined || this.port === port) && this.range?.contains(ip) !== false;
  }

  toJSON(): string {
    return this.text;
  }
}

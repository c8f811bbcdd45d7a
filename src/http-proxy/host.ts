import type { Device } from "#contract";
import type { SiteConfig, WebConfig } from "./schema.ts";

/** A host as HTTP says it (RFC 9110, section 7.2), in lower case and without its port. Undefined: it is no name. */
export function plainHost(said: string): string | undefined {
  const name = /^([^:[\]/@\s]{1,253})(?::\d{0,5})?$/.exec(said)?.[1]?.toLowerCase();
  return name !== undefined && /^[a-z0-9._-]+$/.test(name) ? name : undefined;
}

/** The device that a host name means. Undefined: none of the domain's. */
export function deviceOfHost(host: string, domain: string | undefined): string | undefined {
  if (domain === undefined) return undefined;
  const end = `.${domain}`;
  return host.endsWith(end) && host.length > end.length ? host.slice(0, -end.length) : undefined;
}

/** Where a device's page is, on the device. */
export function siteOf(config: WebConfig, { name, tags }: Pick<Device, "name" | "tags">): SiteConfig {
  const found = config.except.find(({ devices }) =>
    devices.some(
      (each) => each.toLowerCase() === name || (each.startsWith("tag:") && tags.includes(each.slice(4))),
    ),
  );
  return {
    port: found?.port ?? config.port,
    host: found?.host ?? config.host,
    tls: found?.tls ?? config.tls,
  };
}

/**
 * Devices by paths of one host, `/d/kiosk7/`, where DNS can have no wildcard. To the device, and to the gate, a request is as if the device
 * had a host of its own; what leads back to it is written anew on the way out.
 */
import type { Asked } from "./asked.ts";
import { type Fields, isCalled } from "./fields.ts";
import type { Page } from "./pages.ts";
import { cookieName } from "./ticket.ts";

/** The gateway's cookies of one device: a path is not for names that begin with __Host-. */
const pathCookieName = "__Secure-postern";

/** Answers that hold for all that is at a host, which no device may speak for: who is told of its visits, where it is, and how. */
const ofWholeHost: ReadonlySet<string> = new Set([
  "alt-svc",
  "clear-site-data",
  "nel",
  "report-to",
  "service-worker-allowed",
  "strict-transport-security",
]);

/** A request for a device's page. */
export interface PlacedRequest {
  readonly name: string;
  /** `/d/kiosk7`. */
  readonly prefix: string;
  /** As if the device's page began at `/`. */
  readonly asked: Asked;
}

/** Undefined: it is for no device. A page whose stroke at the end is missing is elsewhere. */
export function placedByPath(asked: Asked): PlacedRequest | { readonly elsewhere: string } | undefined {
  const [, prefix = "", name = "", rest = ""] =
    /^(\/d\/([a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?))([/?].*)?$/.exec(asked.path) ?? [];
  if (name === "") return undefined;
  if (!rest.startsWith("/")) return { elsewhere: `${prefix}/${rest}` };
  return { name, prefix, asked: { ...asked, path: rest, prefix, fields: cookiesWithin(asked.fields) } };
}

/** Ours are called as everywhere. What a page of another device may have set by that name is nobody's. */
function cookiesWithin(fields: Fields): Fields {
  return fields.flatMap(([name, value]) => {
    if (name.toLowerCase() !== "cookie") return [[name, value] as const];
    const kept = value
      .split(";")
      .map((each) => each.trim())
      .filter((each) => !each.startsWith(cookieName))
      .map((each) =>
        each.startsWith(pathCookieName) ? `${cookieName}${each.slice(pathCookieName.length)}` : each,
      );
    return kept.length === 0 ? [] : [[name, kept.join("; ")] as const];
  });
}

/** A page of our own. */
export function pageAt(prefix: string, { status, text, fields = [] }: Page): Page {
  return {
    status,
    text: text.replace(/(="| at )(?=\/\.postern\/)/g, `$1${prefix}`),
    fields: fields.map(([name, value]) => {
      if (name === "Location") return [name, value.startsWith("/") ? `${prefix}${value}` : value] as const;
      if (name !== "Set-Cookie") return [name, value] as const;
      const renamed = value.startsWith(cookieName)
        ? `${pathCookieName}${value.slice(cookieName.length)}`
        : value;
      return [name, cookieAt(prefix, renamed)] as const;
    }),
  };
}

/** The fields of a device's answer. `hosts`: as which the device knows itself. */
export function answerAt(prefix: string, fields: Fields, hosts: readonly string[]): Fields {
  return fields.flatMap(([name, value]) => {
    const plain = name.toLowerCase();
    if (ofWholeHost.has(plain)) return [];
    if (isPlace(name)) return [[name, placeAt(prefix, value, hosts)] as const];
    if (plain === "set-cookie")
      return isCalled(value, pathCookieName) ? [] : [[name, cookieAt(prefix, value)] as const];
    return [[name, value] as const];
  });
}

/** Fields that say where something is. */
export function isPlace(name: string): boolean {
  return ["location", "content-location"].includes(name.toLowerCase());
}

/** What leads to another host stays as it is, and so does what leads on from where it was said. */
export function placeAt(prefix: string, value: string, hosts: readonly string[]): string {
  const path = withoutOrigin(value, hosts);
  if (!/^\/(?!\/)/.test(path)) return value;
  // The device knows where it is, by X-Forwarded-Prefix.
  return path === prefix || path.startsWith(`${prefix}/`) ? path : `${prefix}${path}`;
}

function withoutOrigin(value: string, hosts: readonly string[]): string {
  const [, host, rest = ""] = /^(?:https?:)?\/\/([^/?#]*)(.*)$/i.exec(value) ?? [];
  if (host === undefined || !hosts.includes(host.toLowerCase())) return value;
  return rest.startsWith("/") ? rest : `/${rest}`;
}

/** A cookie is sent to its device's paths alone. */
export function cookieAt(prefix: string, value: string): string {
  const [pair = "", ...attributes] = value.split(";");
  let placed = false;
  const moved = attributes.flatMap((each) => {
    const [name = "", ...rest] = each.split("=");
    if (name.trim().toLowerCase() !== "path") return [each];
    placed = true;
    const path = rest.join("=").trim();
    if (path === prefix || path.startsWith(`${prefix}/`)) return [` Path=${path}`];
    return [` Path=${prefix}${path.startsWith("/") ? path : "/"}`];
  });
  return [pair, ...moved, ...(placed ? [] : [` Path=${prefix}/`])].join(";");
}

import type { IncomingHttpHeaders } from "node:http";
import type { Secret } from "#base";
import { tokenDigest } from "./files.ts";

/** Who asks; or why nobody is believed. */
export type Access =
  | { readonly kind: "allowed"; readonly by: string }
  | { readonly kind: "refused"; readonly status: 401 | 403; readonly reason: string };

export interface AccessRules {
  /** SHA-256 of the token. */
  readonly token: Secret;
  /** Names of the gateway's people who are believed by the header that its web front sets. */
  readonly users: readonly string[];
}

/** Longer than any token. */
const maxTokenChars = 1024;

/** Whether a request may be answered. Headers alone are looked at, so it is the same for every page. */
export function accessOf(method: string, headers: IncomingHttpHeaders, rules: AccessRules): Access {
  const foreign = crossSite(method, headers);
  if (foreign !== undefined) return { kind: "refused", status: 403, reason: foreign };
  const { authorization } = headers;
  if (authorization !== undefined) {
    const [, token = ""] = /^Bearer +([!-~]+)$/i.exec(authorization) ?? [];
    if (token !== "" && token.length <= maxTokenChars && rules.token.equals(tokenDigest(token)))
      return { kind: "allowed", by: "token" };
    return { kind: "refused", status: 401, reason: "the token is not right" };
  }
  const user = userOf(headers);
  if (user === undefined || rules.users.length === 0)
    return { kind: "refused", status: 401, reason: "send the token: Authorization: Bearer TOKEN" };
  if (rules.users.includes(user)) return { kind: "allowed", by: user };
  return { kind: "refused", status: 403, reason: "you may not use the service of this device" };
}

/** The gateway's web front sends one, percent-encoded, and takes away any that came. */
function userOf(headers: IncomingHttpHeaders): string | undefined {
  const said = headers["x-forwarded-user"];
  // Node joins several into one text: a name with a comma is none that the front sends.
  if (typeof said !== "string" || said === "" || said.includes(",")) return undefined;
  try {
    return decodeURIComponent(said);
  } catch {
    return undefined;
  }
}

/** Why a request is another site's doing: a browser adds the cookie or password of its user to what any page asks for. */
function crossSite(method: string, headers: IncomingHttpHeaders): string | undefined {
  const refusal = "requests from other sites are refused";
  const site = headers["sec-fetch-site"];
  if (site !== undefined && site !== "same-origin" && !(site === "none" && method === "GET")) return refusal;
  const { origin } = headers;
  if (origin === undefined) return undefined;
  const hosts = [headers.host, headers["x-forwarded-host"]];
  try {
    const { host, protocol } = new URL(origin);
    const own = hosts.some((each) => typeof each === "string" && sameHost(each, host, protocol));
    return own ? undefined : refusal;
  } catch {
    // "null" is what a page says that hides where it is from.
    return refusal;
  }
}

function sameHost(said: string, host: string, protocol: string): boolean {
  try {
    return new URL(`${protocol}//${said}`).host === host;
  } catch {
    return false;
  }
}

import type { NameEntry, SpliceMatch, SpliceRule, TargetQuery, WantedProof } from "#contract";
import { NamePatterns } from "./host-pattern.ts";
import { maxUserNameChars, placeRefusal } from "./router.ts";

/** Entries of HTTP, whose clients can give a name and a password for us. What stands behind `Host` asks for its own. */
const loginEntries: readonly NameEntry[] = ["http", "websocket", "web"];

/** Entries that may lie inside TLS that ends here. */
const certificateEntries: readonly NameEntry[] = ["tls", "version", "http", "websocket", "host", "web"];

/** Why a splice rule does not hold for a client, whatever target it asks for; undefined if it does. */
export function refusalOf(rule: SpliceRule, query: TargetQuery): string | undefined {
  return openRefusal(rule.match, query) ?? certificateRefusal(rule.match, query) ?? loginRefusal(rule, query);
}

/** What else the client could show so that the rule might hold: nothing when it holds, or when nothing helps. */
export function wantedBy(rule: SpliceRule, query: TargetQuery): WantedProof | undefined {
  const { match } = rule;
  if (openRefusal(match, query) !== undefined) return undefined;
  if (certificateRefusal(match, query) !== undefined)
    return query.certificate === undefined && certificateEntries.includes(query.entry)
      ? "certificate"
      : undefined;
  if (loginRefusal(rule, query) === undefined) return undefined;
  // A browser is sent elsewhere to sign in; other programs of HTTP cannot be.
  const canCarry = query.entry === "web" || takesPasswords(rule);
  return query.proven === undefined && loginEntries.includes(query.entry) && canCarry ? "login" : undefined;
}

/** Whether a rule can be met by name and password. */
export function takesPasswords({ login = [] }: SpliceRule): boolean {
  return login.some(({ browser }) => browser === undefined);
}

/** Whether a rule is for this name. */
export function takesUser({ user: only, userPattern }: SpliceMatch, user: string): boolean {
  if (user === "" || user.length > maxUserNameChars) return false;
  if (only !== undefined) return only === user;
  return userPattern === undefined || userPattern.match(user) !== undefined;
}

function openRefusal(match: SpliceMatch, query: TargetQuery): string | undefined {
  const { from, to, entry, nowMs } = query;
  if (match.entries !== undefined && !match.entries.includes(entry))
    return `it takes ${match.entries.join(", ")}, not ${entry}`;
  if (match.from !== undefined) {
    const { ip } = from;
    if (ip === undefined || !match.from.some((range) => range.contains(ip)))
      return `${from.text} is not in ${match.from.map((range) => range.text).join(", ")}`;
  }
  const elsewhere = placeRefusal(match, to);
  if (elsewhere !== undefined) return elsewhere;
  if (match.notBeforeMs !== undefined && nowMs < match.notBeforeMs)
    return `it holds from ${new Date(match.notBeforeMs).toISOString()}`;
  if (match.notAfterMs !== undefined && nowMs >= match.notAfterMs)
    return `it held until ${new Date(match.notAfterMs).toISOString()}`;
  return undefined;
}

function certificateRefusal({ clientCertificate }: SpliceMatch, query: TargetQuery): string | undefined {
  if (clientCertificate === undefined) return undefined;
  if (query.certificate === undefined) return "it asks for a client certificate";
  const patterns = new NamePatterns(clientCertificate);
  return patterns.allowAny(query.certificate)
    ? undefined
    : `the certificate's names, ${query.certificate.join(", ")}, are not among ${clientCertificate.join(", ")}`;
}

function loginRefusal({ name, login }: SpliceRule, { proven }: TargetQuery): string | undefined {
  if (login === undefined || proven?.rules.has(name) === true) return undefined;
  return proven === undefined
    ? "it asks for a name and a password, which HTTP can carry"
    : "the name and password shown are not for it";
}

import { matchPattern } from "#ssh/keys";
import { defaults, type NameSource, type OidcConfig } from "./schema.ts";

/** What a provider says of somebody: checked to be its word, and not yet what it means. */
export type Claims = Readonly<Record<string, unknown>>;

/** Somebody whom the provider knows. */
export interface Person {
  /** Never another person's. */
  readonly subject: string;
  /** Verified, in lower case. */
  readonly email?: string;
  readonly groups: readonly string[];
}

type Policy = Pick<OidcConfig, "allow" | "user" | "groupsClaim" | "dangerouslyTrustEmails">;

export function personOf(claims: Claims, subject: string, policy: Policy): Person {
  const { groupsClaim = defaults.groupsClaim, dangerouslyTrustEmails = false } = policy;
  const { email, email_verified: verified } = claims;
  const listed = claims[groupsClaim];
  const groups = typeof listed === "string" ? [listed] : Array.isArray(listed) ? listed : [];
  // Whoever could choose an address at the provider could be anybody.
  const good = typeof email === "string" && isAddress(email) && (verified === true || dangerouslyTrustEmails);
  return {
    subject,
    ...(good ? { email: email.toLowerCase() } : {}),
    groups: groups.filter((group) => typeof group === "string"),
  };
}

/** One @, and nothing that could look like something else in a line of the log. */
function isAddress(text: string): boolean {
  return text.length <= 254 && /^[^\s@\p{C}*?]+@[^\s@\p{C}*?]+$/u.test(text);
}

/** Claims without which it cannot be decided who may log in. */
export function neededClaims({ allow, user, groupsClaim = defaults.groupsClaim }: Policy): readonly string[] {
  const keys = Object.keys(user.map ?? {});
  const groups = allow.groups !== undefined || keys.some((key) => key.startsWith("group:"));
  const emails =
    allow.emails !== undefined || user.emailDomain !== undefined || keys.some((key) => key.includes("@"));
  return [
    ...(groups ? [groupsClaim] : []),
    ...(emails ? ["email"] : []),
    ...(user.claim === undefined ? [] : [user.claim]),
  ];
}

/** Names that somebody is known to have: they may go by each, if they are among those who may log in. */
export function namesOf(person: Person, claims: Claims, { user }: Policy): readonly string[] {
  const { claim, emailDomain, map = {} } = user;
  const { email } = person;
  const said = claim === undefined ? undefined : claimed(claims, claim);
  const end = `@${emailDomain}`;
  const names = [
    ...(typeof said === "string" ? [said] : []),
    ...(emailDomain !== undefined && email?.endsWith(end) === true ? [email.slice(0, -end.length)] : []),
    ...Object.values(map).flat(),
  ];
  return [...new Set(names)].filter((name) => mayBe(person, claims, name, user));
}

/** Why somebody may not go by a name, for the log; undefined if they may. */
export function refusal(person: Person, claims: Claims, name: string, policy: Policy): string | undefined {
  if (!isAllowed(person, policy)) return "is not among those who may log in here";
  return mayBe(person, claims, name, policy.user) ? undefined : `may not go by the name "${name}"`;
}

function isAllowed({ subject, email, groups }: Person, { allow }: Policy): boolean {
  if (allow.subjects?.includes(subject) === true) return true;
  if (allow.groups?.some((group) => groups.includes(group)) === true) return true;
  return (
    email !== undefined && allow.emails?.some((each) => matchPattern(email, each.toLowerCase())) === true
  );
}

function mayBe(
  { subject, email, groups }: Person,
  claims: Claims,
  name: string,
  { claim, emailDomain, map }: NameSource,
): boolean {
  if (name === "") return false;
  if (claim !== undefined && claimed(claims, claim) === name) return true;
  if (emailDomain !== undefined && email === `${name}@${emailDomain}`) return true;
  for (const [who, names] of Object.entries(map ?? {})) {
    if (!names.includes(name)) continue;
    if (who.startsWith("sub:")) {
      if (who === `sub:${subject}`) return true;
    } else if (who.startsWith("group:")) {
      if (groups.includes(who.slice("group:".length))) return true;
    } else if (email !== undefined && who.toLowerCase() === email) return true;
  }
  return false;
}

function claimed(claims: Claims, claim: string): unknown {
  // An address that is not verified is no name either.
  if (claim !== "email") return Object.hasOwn(claims, claim) ? claims[claim] : undefined;
  return claims["email_verified"] === true ? claims["email"] : undefined;
}

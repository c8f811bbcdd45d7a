import type { BrowserLogin, Identity, SignInProvider, SignInWays, SpliceRule } from "#contract";
import { takesPasswords, takesUser } from "./splice-match.ts";

/** A rule that takes somebody who has signed in, and by which name. */
export interface SignedInFor {
  readonly rule: string;
  readonly user: string;
}

function browserLogins({ login = [] }: SpliceRule): BrowserLogin[] {
  return login.flatMap(({ browser }) => browser ?? []);
}

/** How people can log in by these rules. A provider that several name is asked once, for what all of them need. */
export function waysIn(rules: readonly SpliceRule[]): SignInWays {
  const providers = new Map<string, SignInProvider>();
  for (const { provider } of rules.flatMap(browserLogins)) {
    const known = providers.get(provider.id);
    providers.set(provider.id, known === undefined ? provider : both(known, provider));
  }
  return { passwords: rules.some(takesPasswords), providers: [...providers.values()] };
}

function both(one: SignInProvider, other: SignInProvider): SignInProvider {
  const union = (key: "scopes" | "claims"): readonly string[] => [
    ...new Set([...one.wants[key], ...other.wants[key]]),
  ];
  return { ...one, wants: { scopes: union("scopes"), claims: union("claims") } };
}

/** The rules that take somebody, in their order, each with the first name that it takes. */
export function signedInFor(identity: Identity, rules: readonly SpliceRule[]): SignedInFor[] {
  return rules.flatMap((rule) => {
    const [user] = browserLogins(rule).flatMap((login) => namesWithin(login, identity, rule));
    return user === undefined ? [] : [{ rule: rule.name, user }];
  });
}

function namesWithin(login: BrowserLogin, identity: Identity, { match }: SpliceRule): string[] {
  if (login.provider.id !== identity.provider) return [];
  return login.names(identity).filter((user) => {
    if (!takesUser(match, user)) return false;
    const captures = { ...match.userPattern?.match(user), user, 0: user };
    return login.refusal(identity, captures) === undefined;
  });
}

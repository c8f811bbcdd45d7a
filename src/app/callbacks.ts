import { providerTitle } from "#auth";
import type { Config } from "#config";
import { callbackAt } from "#http-proxy";

/** What an OpenID provider must know of this gateway. */
export interface Callback {
  readonly issuer: string;
  readonly clientId: string;
  readonly address: string;
}

/** The addresses that browsers come back to, each once, in the order of the rules. */
export function callbacks({ signIn, rules, spliceRules }: Config): readonly Callback[] {
  if (signIn === undefined) return [];
  const found = new Map<string, Callback>();
  const take = (login: Config["rules"][number]["login"][number], pages: boolean): void => {
    if (login.kind !== "oidc" || (!pages && login.flow !== "browser")) return;
    const { issuer, clientId } = login;
    const address = callbackAt(signIn.address, providerTitle(issuer));
    found.set(`${address} ${clientId}`, { issuer, clientId, address });
  };
  for (const { login } of rules) for (const each of login) take(each, false);
  for (const { login } of spliceRules) for (const each of login ?? []) take(each, true);
  return [...found.values()];
}

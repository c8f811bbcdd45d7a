import type { BrowserLogin, Identity, SignInProvider } from "#contract";
import { type Claims, neededClaims, namesOf, personOf, refusal } from "./person.ts";
import type { Provider } from "./provider.ts";
import { defaults, type OidcConfig } from "./schema.ts";

/** For a line of the log, a terminal and a page. */
function printable(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]/g, "?").slice(0, 200);
}

/** What a provider calls itself, as the end of an address of ours. */
export function titleOf(issuer: string): string {
  const { host, pathname } = new URL(issuer);
  return `${host}${pathname.replace(/\/$/, "")}`;
}

/** Whoever is trusted by other means is somebody else. */
function idOf({ issuer, clientId, tlsAuthorities, dangerouslyAllowHttp = false }: OidcConfig): string {
  return JSON.stringify([issuer, clientId, tlsAuthorities ?? null, dangerouslyAllowHttp]);
}

/** Who it is by the word of the provider. */
export function identityOf(claims: Claims & { readonly sub: string }, config: OidcConfig): Identity {
  const who = printable(personOf(claims, claims.sub, config).email ?? claims.sub);
  const by = `oidc ${who} at ${config.issuer}`;
  return { provider: idOf(config), subject: printable(claims.sub), who, by, claims };
}

/** The provider of a configuration, for who serves browsers. */
function providerOf(config: OidcConfig, provider: Provider): SignInProvider {
  return {
    id: idOf(config),
    title: titleOf(config.issuer),
    wants: { scopes: config.scopes ?? defaults.scopes, claims: neededClaims(config) },
    begin: async (callback, wants, mark) => {
      const visit = await provider.visit(callback, wants, mark);
      return { ...visit, finish: async (query) => identityOf(await visit.finish(query), config) };
    },
  };
}

/** How people can come to web pages. */
export function browserLogin(config: OidcConfig, provider: Provider): BrowserLogin {
  return {
    provider: providerOf(config, provider),
    names: ({ claims }) => namesOf(personOf(claims, subjectIn(claims), config), claims, config),
    refusal: ({ claims }, captures) => {
      const person = personOf(claims, subjectIn(claims), config);
      return refusal(person, claims, config.name.expand(captures) ?? "", config);
    },
  };
}

function subjectIn({ sub }: Identity["claims"]): string {
  return typeof sub === "string" ? sub : "";
}

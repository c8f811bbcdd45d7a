/**
 * oidc: single sign-on by OpenID Connect, approved in a browser.
 *
 * Law: finds out who somebody is at the provider, and whether they may go by the name they gave. No token leaves this folder.
 */
export { titleOf as providerTitle } from "./browser.ts";
export { oidcErrors } from "./errors.ts";
export { oidc } from "./oidc.ts";
export type { OidcConfig } from "./schema.ts";

/**
 * certificate: a fresh key for each session, certified by the gateway's own user CA.
 *
 * Law: the key lives as long as the login, the certificate for minutes. What stands in it comes from the rule and from the session;
 * a name that could mean another to its reader is refused.
 */
export { certificate, type CertificateConfig, openAuthority } from "./certificate.ts";
export { type AuthorityConfig, authorityFields, checkAuthority } from "./schema.ts";

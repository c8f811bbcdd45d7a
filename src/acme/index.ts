/**
 * acme: certificates that an authority gives out by itself (RFC 8555), for names that are ours.
 *
 * Law: it asks for names that it was told are wanted, and for no other, whatever a client's hello says. Proofs are shown by whoever ends
 * TLS (RFC 8737): this room listens nowhere. Keys and certificates are files of the state directory.
 */
export { acmeErrors } from "./errors.ts";
export { AcmeDesk, type AcmeDeskOptions, type AcmeDesks, AcmeElsewhere, type AcmeSource } from "./desk.ts";
export type { Kept } from "./kept.ts";
export { isCertifiable } from "./name.ts";
export { AcmeOffice, type AcmeOfficePorts, type CertificateState } from "./office.ts";
export { acmeSchema } from "./schema.ts";

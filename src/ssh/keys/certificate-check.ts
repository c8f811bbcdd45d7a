import { type CidrCheck, matchCidrList } from "./addresses.ts";
import { type CertificateOptions, certificateOptions } from "./certificate.ts";
import { keyErrors } from "./errors.ts";
import { matchPattern } from "./patterns.ts";
import type { Certificate } from "./shapes.ts";
import { defaultMinRsaBits } from "./signature.ts";

/** Signatures of authorities that are believed: all but SHA-1 (OpenSSH's default for CASignatureAlgorithms). */
export const defaultAuthorityAlgorithms: readonly string[] = [
  "ssh-ed25519",
  "ecdsa-sha2-nistp256",
  "ecdsa-sha2-nistp384",
  "ecdsa-sha2-nistp521",
  "sk-ssh-ed25519@openssh.com",
  "sk-ecdsa-sha2-nistp256@openssh.com",
  "rsa-sha2-512",
  "rsa-sha2-256",
];

export interface CertificateDemands {
  readonly kind: "user" | "host";
  /**
   * User: the name to log in as, or the names any of which will do (the `principals` option of authorized_keys).
   * Host: the name that was dialled, without port.
   */
  readonly principal: string | readonly string[];
  readonly nowSeconds: number;
  /** Blobs of the trusted authorities, or a predicate over them. */
  readonly authorities: Iterable<Uint8Array> | ((authorityBlob: Uint8Array) => boolean);
  /** Where a user comes from; a certificate bound to addresses is refused without. */
  readonly sourceAddress?: string;
  /** Default: all but SHA-1. */
  readonly authorityAlgorithms?: readonly string[];
  /** Of the certified key and of the authority; default 2048. */
  readonly minRsaBits?: number;
}

/**
 * Whether a certificate is good for a purpose: undefined if it is, else the reason, for the log.
 *
 * As OpenSSH 10.3 does it: no principals means good for nobody (older versions took it for everybody in host certificates and in
 * authorized_keys); wildcards count in the principals of host certificates and not of user certificates; host certificates may
 * have no critical option at all, user certificates only those of `certificateOptions`. FIDO demands are left to
 * `missingPresence`, and a forced command to who runs it.
 */
export function checkCertificate(certificate: Certificate, demands: CertificateDemands): string | undefined {
  if (certificate.kind !== demands.kind)
    return `a ${certificate.kind} certificate where a ${demands.kind} certificate is due`;
  return (
    checkAuthority(certificate, demands) ??
    checkTime(certificate, demands.nowSeconds) ??
    checkPrincipals(certificate, demands.principal) ??
    checkOptions(certificate, demands.sourceAddress)
  );
}

function checkAuthority(certificate: Certificate, demands: CertificateDemands): string | undefined {
  const { authority, key } = certificate;
  if (!isTrusted(authority.blob, demands.authorities)) return "the authority is not trusted";
  const algorithms = demands.authorityAlgorithms ?? defaultAuthorityAlgorithms;
  if (!algorithms.includes(certificate.signatureAlgorithm)) {
    return `signatures of authorities by ${certificate.signatureAlgorithm} are not allowed`;
  }
  const minBits = demands.minRsaBits ?? defaultMinRsaBits;
  for (const { type, bits } of [authority, key]) {
    if (type === "ssh-rsa" && bits < minBits) return `an RSA key of ${bits} bits`;
  }
  return undefined;
}

function isTrusted(blob: Uint8Array, authorities: CertificateDemands["authorities"]): boolean {
  if (typeof authorities === "function") return authorities(blob);
  for (const trusted of authorities) {
    if (Buffer.compare(trusted, blob) === 0) return true;
  }
  return false;
}

function checkTime(certificate: Certificate, nowSeconds: number): string | undefined {
  const now = BigInt(Math.floor(nowSeconds));
  if (now < certificate.validAfter) return "not yet valid";
  if (now >= certificate.validBefore) return "expired";
  return undefined;
}

function checkPrincipals(certificate: Certificate, wanted: string | readonly string[]): string | undefined {
  const { principals, kind } = certificate;
  if (principals.length === 0) return "it names no principals";
  const names = typeof wanted === "string" ? [wanted] : wanted;
  const fits =
    kind === "host"
      ? (name: string, principal: string) => matchPattern(name.toLowerCase(), principal)
      : (name: string, principal: string) => name === principal;
  if (names.some((name) => principals.some((principal) => fits(name, principal)))) return undefined;
  return "the name is not among its principals";
}

function checkOptions(certificate: Certificate, sourceAddress: string | undefined): string | undefined {
  if (certificate.kind === "host") {
    return certificate.criticalOptions.size === 0 ? undefined : "a host certificate with critical options";
  }
  let options: CertificateOptions;
  try {
    options = certificateOptions(certificate);
  } catch (error) {
    if (error instanceof keyErrors.PEER_CERTIFICATE_INVALID) return error.message;
    throw error;
  }
  if (options.sourceAddress === undefined) return undefined;
  if (sourceAddress === undefined)
    return "it is bound to addresses, and where the client comes from is not known";
  return cidrReasons[matchCidrList(options.sourceAddress, sourceAddress)];
}

const cidrReasons: Record<CidrCheck, string | undefined> = {
  match: undefined,
  "no-match": "it may not be used from this address",
  invalid: "its list of addresses is malformed",
};

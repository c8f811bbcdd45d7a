/**
 * keys: the formats of keys, and what a key proves.
 *
 * Law: knows bytes and texts of keys, certificates, signatures, known_hosts and authorized_keys; never a file, a socket, a clock or
 * who is being logged in. Time and addresses are handed in. Blobs from peers give PEER_ errors, files of the operator OPERATOR_
 * errors or warnings with a line number. Cryptography is `ssh/algorithms`, node:crypto and bcrypt-pbkdf.
 */
export {
  type Cidr,
  type CidrCheck,
  cidrContains,
  isSourceList,
  matchCidrList,
  parseAddress,
  parseCidr,
  sourceAllowed,
} from "./addresses.ts";
export {
  type AuthorizedKey,
  checkAuthorizedKey,
  isForKey,
  type KeyBearer,
  parseAuthorizedKeys,
} from "./authorized-keys.ts";
export {
  type CertificateOptions,
  certificateOptions,
  decodeAnyKey,
  decodeCertificate,
} from "./certificate.ts";
export {
  type CertificateDemands,
  checkCertificate,
  defaultAuthorityAlgorithms,
} from "./certificate-check.ts";
export { type CertificateContents, signCertificate } from "./certificate-sign.ts";
export { keyErrors } from "./errors.ts";
export { fingerprint } from "./fingerprint.ts";
export { formatPublicKey, isKeyTypeName, type PublicKeyLine, parsePublicKeyLine } from "./key-line.ts";
export {
  defaultKeyOptions,
  type KeyOptions,
  type KeyOptionsResult,
  mayListen,
  mayOpen,
  type Permit,
  parseKeyOptions,
  parseTimestamp,
} from "./key-options.ts";
export {
  formatKnownHostsLine,
  type HostKeyVerdict,
  type KnownHost,
  type KnownHostMarker,
  type KnownHostMatch,
  KnownHosts,
  type KnownHostsLine,
  knownHostName,
  parseKnownHosts,
} from "./known-hosts.ts";
export { matchHostName, matchPattern, matchPatternList, type PatternListMatch } from "./patterns.ts";
export {
  formatPrivateKey,
  type GeneratedType,
  generatePrivateKey,
  type PrivateKey,
  parsePrivateKey,
  withCertificate,
} from "./private-key.ts";
export { decodePublicKey, maxRsaBits, minRsaBits, publicKeyTypes } from "./public-key.ts";
export { parseRevocationList, RevocationList } from "./revocation.ts";
export type { Certificate, KeySigner, LineWarning, PublicKey, SignatureVerdict } from "./shapes.ts";
export {
  algorithmFits,
  certificateName,
  defaultMinRsaBits,
  isCertificateType,
  keyAlgorithms,
  missingPresence,
  plainName,
  signatureAlgorithmOf,
  type VerifyOptions,
  verifySignature,
} from "./signature.ts";

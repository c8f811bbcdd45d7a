import { type Captures, PosternError } from "#base";
import type { CertificateMatch, PeerAddress, RuleMatch } from "#contract";
import {
  type Certificate,
  checkCertificate,
  fingerprint,
  parsePublicKeyLine,
  type PublicKey,
} from "#ssh/keys";

/** Who comes with a key. */
export interface KeyHolder {
  readonly user: string;
  readonly from: PeerAddress;
  readonly nowMs: number;
  /** Shown, or only asked about: that it is theirs, nobody has checked yet. Absent: the client has come without, so far. */
  readonly key?: PublicKey | Certificate;
}

/** What a rule asks of the key that the client shows. */
export class KeyCondition {
  readonly #fingerprints: ReadonlySet<string> | undefined;
  readonly #certificate: (CertificateMatch & { readonly blobs: readonly Uint8Array[] }) | undefined;

  /** Throws Error, with a reason, for a line that is no plain key. */
  constructor({ keys, fingerprints, certificate }: RuleMatch) {
    const listed = [
      ...(fingerprints ?? []).map(unpadded),
      ...(keys ?? []).map((line) => fingerprint(blobOf(line))),
    ];
    if (keys !== undefined || fingerprints !== undefined) this.#fingerprints = new Set(listed);
    if (certificate !== undefined)
      this.#certificate = { ...certificate, blobs: certificate.authorities.map(blobOf) };
  }

  /** The rule of this condition; undefined if it asks for no key. Throws Error. */
  static of(match: RuleMatch): KeyCondition | undefined {
    const { keys, fingerprints, certificate } = match;
    const none = keys === undefined && fingerprints === undefined && certificate === undefined;
    return none ? undefined : new KeyCondition(match);
  }

  /** Captures of the key id, or the reason why the rule does not match. */
  check(holder: KeyHolder): Captures | string {
    const { key } = holder;
    const certificate = this.#certificate;
    if (key === undefined) return "it is for those who show its key";
    // A certificate says more than its key: what it forbids must not be passed over by way of the key.
    if (certificate === undefined)
      return !("key" in key) && this.#fingerprints?.has(fingerprint(key.blob)) === true
        ? {}
        : "the key is none of its keys";
    if (!("key" in key)) return "the key is no certificate";
    const { user, from, nowMs } = holder;
    const refusal = checkCertificate(key, {
      kind: "user",
      principal: certificate.principals ?? user,
      nowSeconds: Math.floor(nowMs / 1000),
      authorities: certificate.blobs,
      ...(from.ip === undefined ? {} : { sourceAddress: from.ip }),
    });
    if (refusal !== undefined) return `the certificate: ${refusal}`;
    if (certificate.keyId === undefined) return {};
    const found = certificate.keyId.match(key.keyId);
    if (found === undefined) return `the certificate's key id does not match ${certificate.keyId.source}`;
    return Object.fromEntries(certificate.keyId.names.map((name) => [name, found[name]]));
  }

  get reason(): string {
    return this.#certificate === undefined ? "the key is one of its keys" : "the certificate is as it asks";
  }
}

function unpadded(text: string): string {
  return text.replace(/=+$/, "");
}

function blobOf(line: string): Uint8Array {
  try {
    const { key } = parsePublicKeyLine(line);
    if ("key" in key) throw new Error(`"${line.slice(0, 60)}…" is a certificate where a key is due`);
    return key.blob;
  } catch (error) {
    if (!(error instanceof PosternError)) throw error;
    throw new Error(`"${line.slice(0, 60)}": ${error.detail ?? error.message}`, { cause: error });
  }
}

import { createPrivateKey, X509Certificate } from "node:crypto";
import type { CertificatePair } from "#contract";

/** A certificate that can be shown. */
export interface Kept {
  readonly pair: CertificatePair;
  readonly untilMs: number;
  /** When it is time for the next. */
  readonly renewAtMs: number;
}

/** The last part of a certificate's life, in which a new one is ordered; up to a quarter of it goes by first, by chance. */
const lastPart = 1 / 3;
const spread = 1 / 4;

/** Throws an Error that says why it cannot be used for that name. `chance` is 0 to 1. */
export function keptOf(name: string, pair: CertificatePair, chance: number): Kept {
  const certificate = new X509Certificate(pair.certificate);
  if (certificate.checkHost(name, { subject: "never" }) === undefined)
    throw new Error("it is for another name");
  if (!certificate.checkPrivateKey(createPrivateKey(pair.key))) throw new Error("the key is another's");
  const untilMs = certificate.validToDate.getTime();
  const lastMs = (untilMs - certificate.validFromDate.getTime()) * lastPart;
  return { pair, untilMs, renewAtMs: untilMs - lastMs * (1 - spread * chance) };
}

/** As one file, so that the two always belong together. */
export function textOf({ certificate, key }: CertificatePair): string {
  return `${key.trim()}\n${certificate.trim()}\n`;
}

/** Throws an Error. */
export function pairOf(text: string): CertificatePair {
  const [, key] =
    /^(-----BEGIN [A-Z ]*PRIVATE KEY-----[^]*?-----END [A-Z ]*PRIVATE KEY-----)/m.exec(text) ?? [];
  const certificates = text.match(/-----BEGIN CERTIFICATE-----[^]*?-----END CERTIFICATE-----/g) ?? [];
  if (key === undefined || certificates.length === 0) throw new Error("a key and a certificate are missing");
  return { key: `${key}\n`, certificate: `${certificates.join("\n")}\n` };
}

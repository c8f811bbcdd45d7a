import { timingSafeEqual } from "node:crypto";
import type { TotpSecret } from "#contract";
import { HOTP, Secret as CodeSecret, TOTP } from "otpauth";

/** Seconds for which a code is shown (RFC 6238, section 4.1; most apps know no other). */
export const periodSeconds = 30;

/** Periods before and after the present one whose codes are taken, for clocks that differ (RFC 6238, section 5.2). */
export const maxDriftSteps = 1;

/** The period that a code belongs to; undefined if it is none of those that are taken now. Takes the same time for every code of the right form. */
export function stepOf(
  code: string,
  { secret, digits, algorithm }: TotpSecret,
  nowMs: number,
): number | undefined {
  const given = code.replaceAll(" ", "");
  if (!new RegExp(`^[0-9]{${digits}}$`).test(given)) return undefined;
  const key = keyOf(secret.reveal());
  const now = Math.floor(nowMs / 1000 / periodSeconds);
  let found: number | undefined;
  for (let step = Math.max(0, now - maxDriftSteps); step <= now + maxDriftSteps; step++) {
    const right = HOTP.generate({ secret: key, algorithm: algorithm.toUpperCase(), digits, counter: step });
    if (timingSafeEqual(Buffer.from(right), Buffer.from(given))) found = step;
  }
  return found;
}

/** For `postern user totp`, and for tests: the code of a moment. */
export function codeAt({ secret, digits, algorithm }: TotpSecret, nowMs: number): string {
  return HOTP.generate({
    secret: keyOf(secret.reveal()),
    algorithm: algorithm.toUpperCase(),
    digits,
    counter: Math.floor(nowMs / 1000 / periodSeconds),
  });
}

/** The address that authenticator apps read from a QR code. It holds the secret. */
export function otpauthAddress(name: string, issuer: string, totp: TotpSecret): string {
  const { secret, digits, algorithm } = totp;
  return new TOTP({
    issuer,
    label: name,
    algorithm: algorithm.toUpperCase(),
    digits,
    period: periodSeconds,
    secret: keyOf(secret.reveal()),
  }).toString();
}

/** A secret as it stands in files, and as people type it. */
export function base32(totp: Pick<TotpSecret, "secret">): string {
  return keyOf(totp.secret.reveal()).base32;
}

/** Copied: the library takes whole buffers, and ours may be part of one. */
function keyOf(bytes: Uint8Array): CodeSecret {
  return new CodeSecret({ buffer: Uint8Array.from(bytes).buffer });
}

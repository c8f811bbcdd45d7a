import { randomBytes } from "node:crypto";
import type { Clock } from "#base";
import type { Device } from "#contract";
import { formatPublicKey, type KeySigner, parsePublicKeyLine, signCertificate } from "#ssh/keys";

export interface CertificatePlan {
  /** The authority's key, read once, or asked of its agent each time. */
  readonly open: () => Promise<KeySigner>;
  readonly validSeconds: number;
}

export interface IssuedCertificate {
  /** As in a file KEY-cert.pub. */
  readonly line: string;
  readonly serial: string;
  readonly untilMs: number;
}

/** It holds from a little ago on, for those whose clock is behind. */
const clockSkewSeconds = 300;

/** A device holds tunnels, and nothing else: no terminal, no agent, no X11. */
const extensions = ["permit-port-forwarding"];

/** Certificates for keys of devices, with the name as principal. Throws what the authority's key throws. */
export async function issueCertificate(
  { id, name, key }: Device,
  { open, validSeconds }: CertificatePlan,
  clock: Clock,
): Promise<IssuedCertificate> {
  const nowSeconds = Math.floor(clock.now() / 1000);
  const { key: known } = parsePublicKeyLine(key);
  const serial = randomBytes(8).readBigUInt64BE();
  const until = Math.ceil(nowSeconds + validSeconds);
  const certificate = await signCertificate(
    {
      kind: "user",
      key: "key" in known ? known.key : known,
      serial,
      keyId: `device ${name} ${id}`,
      principals: [name],
      validAfter: BigInt(nowSeconds - clockSkewSeconds),
      validBefore: BigInt(until),
      extensions,
    },
    await open(),
  );
  return { line: formatPublicKey(certificate.blob, name), serial: String(serial), untilMs: until * 1000 };
}

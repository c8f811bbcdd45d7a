import { writeFileSync } from "node:fs";
import { succeed } from "./child.ts";
import { stranger } from "./strangers.ts";
import type { TempDir } from "./temp-dir.ts";

/** Paths of PEM files. */
export interface CertificatePair {
  readonly certificate: string;
  readonly key: string;
}

const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];

async function request(args: readonly string[]): Promise<void> {
  await succeed(stranger("openssl"), ["req", ...newKey, ...args]);
}

/** A certificate that vouches for itself. `names` as `DNS:web1`, `email:ada@example.com`; plain ones are names in DNS. */
export async function selfSigned(
  folder: TempDir,
  name: string,
  ...names: string[]
): Promise<CertificatePair> {
  const [certificate, key] = [folder.at(`${name}.pem`), folder.at(`${name}.key`)];
  const extension = ["-addext", `subjectAltName=${names.map(prefixed).join()}`];
  const subject = ["-subj", `/CN=${name}`, ...(names.length === 0 ? [] : extension)];
  await request(["-x509", "-days", "2", "-keyout", key, "-out", certificate, ...subject]);
  return { certificate, key };
}

function prefixed(name: string): string {
  return name.includes(":") ? name : `DNS:${name}`;
}

/** A certificate for a client, signed by an authority. */
export async function signedBy(
  authority: CertificatePair,
  folder: TempDir,
  name: string,
  ...names: string[]
): Promise<CertificatePair> {
  const [certificate, key] = [folder.at(`${name}.pem`), folder.at(`${name}.key`)];
  const [asked, extensions] = [folder.at(`${name}.csr`), folder.at(`${name}.ext`)];
  await request(["-subj", `/CN=${name}`, "-keyout", key, "-out", asked]);
  const lines = [
    "extendedKeyUsage=clientAuth",
    ...(names.length === 0 ? [] : [`subjectAltName=${names.map(prefixed).join()}`]),
  ];
  writeFileSync(extensions, `${lines.join("\n")}\n`);
  const by = ["-CA", authority.certificate, "-CAkey", authority.key, "-CAcreateserial"];
  await succeed(stranger("openssl"), [
    "x509",
    "-req",
    "-in",
    asked,
    ...by,
    "-days",
    "2",
    "-extfile",
    extensions,
    "-out",
    certificate,
  ]);
  return { certificate, key };
}

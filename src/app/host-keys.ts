import { type Clock, type Log, PosternError } from "#base";
import type { FileReader } from "#contract";
import {
  type Certificate,
  fingerprint,
  type PrivateKey,
  parsePrivateKey,
  parsePublicKeyLine,
  withCertificate,
} from "#ssh/keys";
import { appErrors } from "./errors.ts";

export interface HostKeyPorts {
  readonly clock: Clock;
  readonly log: Log;
  readonly files: FileReader;
}

const maxHostKeyBytes = 64 * 1024;

/** A host key with a certificate for it, as one key. */
interface CertifiedKey {
  readonly file: string;
  readonly certificate: Certificate;
  readonly key: PrivateKey;
}

/** What identifies the gateway to its clients: keys, and certificates for some of them. */
export class HostKeys {
  /** The keys alone. */
  readonly plain: readonly PrivateKey[];
  readonly #certified: readonly CertifiedKey[];
  readonly #ports: HostKeyPorts;
  /** Certificates that are known to be out of time: told once each. */
  readonly #told = new Set<CertifiedKey>();

  private constructor(plain: readonly PrivateKey[], certified: readonly CertifiedKey[], ports: HostKeyPorts) {
    this.plain = plain;
    this.#certified = certified;
    this.#ports = ports;
  }

  /**
   * Reads what the configuration lists: private keys, and certificates for them. A certificate beside its key (`KEY-cert.pub`) need
   * not be listed; if it is no good it is passed over with a warning, a listed one is refused.
   *
   * Throws OPERATOR_HOST_KEY_MISSING, OPERATOR_HOST_CERTIFICATE_UNUSABLE and OPERATOR_FILE_UNREADABLE.
   */
  static async read(paths: readonly string[], ports: HostKeyPorts): Promise<HostKeys> {
    const keys: { readonly path: string; readonly key: PrivateKey }[] = [];
    const listed: { readonly path: string; readonly text: string }[] = [];
    for (const path of paths) {
      const text = await readText(path, ports);
      if (text === undefined) throw new appErrors.OPERATOR_HOST_KEY_MISSING(path);
      if (holdsCertificate(text)) listed.push({ path, text });
      else keys.push({ path, key: await parseHostKey(path, text, ports) });
    }
    const plain = keys.map(({ key }) => key);
    if (plain.length === 0) throw new appErrors.OPERATOR_HOST_KEY_MISSING("only certificates are listed");
    const certified = listed.map(({ path, text }) => certify(path, text, plain));
    for (const { path, key } of keys) {
      const beside = await readBeside(`${path}-cert.pub`, key, ports);
      if (beside !== undefined && !certified.some(({ file }) => file === beside.file)) certified.push(beside);
    }
    const found = new HostKeys(plain, certified, ports);
    // What is out of time now is told now, and not at the first connection.
    void found.offered;
    return found;
  }

  /**
   * What to offer to a client that connects now: a certificate that is out of time is worse than none, for a client that trusts its
   * authority would refuse the connection.
   */
  get offered(): readonly PrivateKey[] {
    const nowSeconds = BigInt(Math.floor(this.#ports.clock.now() / 1000));
    const valid = this.#certified.filter((each) => {
      const { validAfter, validBefore } = each.certificate;
      const inTime = nowSeconds >= validAfter && nowSeconds < validBefore;
      if (!inTime) this.#tell(each, nowSeconds);
      return inTime;
    });
    return [...valid.map(({ key }) => key), ...this.plain];
  }

  #tell(each: CertifiedKey, nowSeconds: bigint): void {
    if (this.#told.has(each)) return;
    this.#told.add(each);
    const { file, certificate } = each;
    const reason = nowSeconds < certificate.validAfter ? "not yet valid" : "expired";
    this.#ports.log.warn("host-certificate-unusable", { file, reason });
  }
}

async function readText(path: string, { files, log }: HostKeyPorts): Promise<string | undefined> {
  const read = await files.read(path, maxHostKeyBytes);
  if (read === undefined) return undefined;
  const text = Buffer.from(read.bytes).toString("latin1");
  if (!holdsCertificate(text) && (read.mode & 0o007) !== 0)
    log.warn("private-key-open-to-all", { file: path });
  return text;
}

/** By its first word: a certificate file is one line as in authorized_keys. */
function holdsCertificate(text: string): boolean {
  return /^\s*[a-z0-9@.-]+-cert-v01@openssh\.com\s/.test(text);
}

async function parseHostKey(path: string, text: string, { log }: HostKeyPorts): Promise<PrivateKey> {
  try {
    const key = await parsePrivateKey(text);
    log.debug("host-key-read", {
      file: path,
      type: key.publicKey.type,
      fingerprint: fingerprint(key.publicKey.blob),
    });
    return key;
  } catch (cause) {
    if (!(cause instanceof PosternError)) throw cause;
    throw new appErrors.OPERATOR_FILE_UNREADABLE(`${path}: ${cause.message}`, { cause });
  }
}

async function readBeside(
  path: string,
  key: PrivateKey,
  ports: HostKeyPorts,
): Promise<CertifiedKey | undefined> {
  try {
    const text = await readText(path, ports);
    return text === undefined ? undefined : certify(path, text, [key]);
  } catch (error) {
    if (!(error instanceof PosternError)) throw error;
    ports.log.warn("host-certificate-unusable", { file: path, reason: error.detail ?? error.message });
    return undefined;
  }
}

/** Throws OPERATOR_HOST_CERTIFICATE_UNUSABLE. */
function certify(file: string, text: string, keys: readonly PrivateKey[]): CertifiedKey {
  const refuse = (reason: string): never => {
    throw new appErrors.OPERATOR_HOST_CERTIFICATE_UNUSABLE(`${file}: ${reason}`);
  };
  const found = parseCertificate(text);
  if (found === undefined) return refuse("it holds no certificate that can be read");
  if (found.kind !== "host") refuse("it is a user certificate");
  if (found.criticalOptions.size > 0) refuse("it has critical options, which no client takes");
  const own = keys.find(({ publicKey }) => Buffer.compare(publicKey.blob, found.key.blob) === 0);
  if (own === undefined) return refuse("it is for none of the host keys");
  return { file, certificate: found, key: withCertificate(own, found) };
}

function parseCertificate(text: string): Certificate | undefined {
  try {
    const { key } = parsePublicKeyLine(text.trim());
    return "key" in key ? key : undefined;
  } catch (error) {
    if (error instanceof PosternError) return undefined;
    throw error;
  }
}

import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import type { Duplex } from "node:stream";
import { createSecureContext, type SecureContext, TLSSocket } from "node:tls";
import type { Clock, Log } from "#base";
import type { CertificateFiles, FileReader } from "#contract";
import { entryErrors } from "../errors.ts";

/** How often the files are looked at for a new certificate: not at every handshake. */
const freshMs = 5_000;
const maxPemBytes = 256 * 1024;

/** What TLS is offered for (IANA's registry of ALPN names knows no name for SSH; `ssh` is what clients use). */
const alpnNames = ["ssh", "http/1.1"];

/** Alerts (RFC 8446, section 6). */
export const alerts = { unrecognizedName: 112, internalError: 80, decodeError: 50 } as const;

/** A fatal alert for a client that has sent its hello and is told no more. */
export function sayAlert(stream: Duplex, alert: number): void {
  stream.end(Buffer.from([21, 3, 3, 0, 2, 2, alert]));
}

interface Read {
  readonly text: string;
  readonly certificate: X509Certificate;
  readonly context: SecureContext;
}

interface Held {
  readonly files: CertificateFiles;
  lookedAtMs: number;
  read: Read;
}

export interface CertificatePorts {
  readonly clock: Clock;
  readonly log: Log;
  readonly files: FileReader;
}

/** The certificates of this gateway, by the names in them; files that change are read again. */
export class Certificates {
  readonly #held: readonly Held[];
  readonly #ports: CertificatePorts;

  private constructor(held: readonly Held[], ports: CertificatePorts) {
    this.#held = held;
    this.#ports = ports;
  }

  /** Throws OPERATOR_TLS_CERTIFICATE. */
  static async open(all: readonly CertificateFiles[], ports: CertificatePorts): Promise<Certificates> {
    const lookedAtMs = ports.clock.monotonic();
    const held = all.map(async (files) => ({ files, lookedAtMs, read: await readPair(files, ports.files) }));
    return new Certificates(await Promise.all(held), ports);
  }

  /** The first that holds for the name; without a name, the first of all. */
  async find(name: string | undefined): Promise<SecureContext | undefined> {
    for (const held of this.#held) {
      await this.#refresh(held);
      if (name === undefined || held.read.certificate.checkHost(name) !== undefined) return held.read.context;
    }
    return undefined;
  }

  async #refresh(held: Held): Promise<void> {
    const { clock, files, log } = this.#ports;
    if (clock.monotonic() - held.lookedAtMs < freshMs) return;
    held.lookedAtMs = clock.monotonic();
    try {
      held.read = await readPair(held.files, files, held.read);
    } catch (error) {
      // Half of a new pair may be there already: the old one does until both are.
      log.error("certificate-not-read", { file: held.files.certificate, error });
    }
  }
}

async function readPair(
  { certificate, key }: CertificateFiles,
  files: FileReader,
  old?: Read,
): Promise<Read> {
  const [chain, secret] = await Promise.all([certificate, key].map((path) => files.read(path, maxPemBytes)));
  if (chain === undefined || secret === undefined)
    throw new entryErrors.OPERATOR_TLS_CERTIFICATE(
      `there is no file ${chain === undefined ? certificate : key}`,
    );
  const [cert, privateKey] = [Buffer.from(chain.bytes), Buffer.from(secret.bytes)];
  const text = `${cert.toString("latin1")}\n${privateKey.toString("latin1")}`;
  if (text === old?.text) return old;
  try {
    const context = createSecureContext({ cert, key: privateKey, minVersion: "TLSv1.2" });
    return { text, certificate: new X509Certificate(cert), context };
  } catch (cause) {
    throw new entryErrors.OPERATOR_TLS_CERTIFICATE(`${certificate}: ${(cause as Error).message}`, { cause });
  }
}

/** Ends a client's TLS here. Throws PEER_TLS when the handshake fails; its holder destroys the stream to give up. */
export async function terminateTls(stream: Duplex, context: SecureContext): Promise<TLSSocket> {
  const secure = new TLSSocket(stream, {
    isServer: true,
    secureContext: context,
    ALPNCallback: ({ protocols }) => alpnNames.find((name) => protocols.includes(name)),
  });
  stream.once("close", () => secure.destroy());
  const failed = Promise.withResolvers<never>();
  const fail = (cause?: Error): void =>
    failed.reject(new entryErrors.PEER_TLS(cause?.message ?? "the client left", { cause }));
  secure.on("error", fail);
  secure.once("close", () => fail());
  failed.promise.catch(() => {});
  await Promise.race([once(secure, "secure"), failed.promise]);
  return secure;
}

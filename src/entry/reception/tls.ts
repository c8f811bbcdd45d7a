import { AsyncLocalStorage } from "node:async_hooks";
import { constants, X509Certificate } from "node:crypto";
import type { Duplex } from "node:stream";
import { createServer, type Server, type TLSSocket } from "node:tls";
import type { Clock, Log } from "#base";
import type { CertificateFiles, FileReader, OrderedCertificates, TlsPlan } from "#contract";
import { entryErrors } from "../errors.ts";
import { certificateNames } from "./certificate-names.ts";

/** How often the files are looked at for a new certificate: not at every handshake. */
const freshMs = 5_000;
const maxPemBytes = 256 * 1024;

/** What TLS is offered for (IANA's registry of ALPN names knows no name for SSH; `ssh` is what clients use). */
const alpnNames: readonly string[] = ["ssh", "http/1.1"];
/** The same for pages of devices. */
export const webAlpnNames: readonly string[] = ["h2", "http/1.1"];

/** With which an authority asks for a proof that a name is ours (RFC 8737). */
export const proofAlpnName = "acme-tls/1";

/** Alerts (RFC 8446, section 6). */
export const alerts = { unrecognizedName: 112, internalError: 80, decodeError: 50 } as const;

/** A fatal alert for a client that has sent its hello and is told no more. */
export function sayAlert(stream: Duplex, alert: number): void {
  stream.end(Buffer.from([21, 3, 3, 0, 2, 2, alert]));
}

/** Whether a client whose TLS ends here is asked for a certificate. */
export type ClientCertificates = "off" | "asked" | "required";

interface Read {
  readonly text: string;
  readonly certificate: X509Certificate;
  /** Ends TLS with this certificate. */
  readonly ends: Readonly<Record<ClientCertificates, TlsEnd>>;
}

interface Held {
  readonly source: Source;
  lookedAtMs: number;
  read: Read;
}

/** Where a pair comes from. */
interface Source {
  /** For the log. */
  readonly name: string;
  /** Throws OPERATOR_TLS_CERTIFICATE. */
  read(): Promise<{ readonly cert: Buffer; readonly key: Buffer }>;
}

export interface CertificatePorts {
  readonly clock: Clock;
  readonly log: Log;
  readonly files: FileReader;
  /** Absent: there are none but those of files. */
  readonly ordered?: OrderedCertificates;
}

/** The certificates of this gateway, by the names in them; files that change are read again, that of the authorities too. */
export class Certificates {
  readonly #held: readonly Held[];
  readonly #authorities: string | undefined;
  readonly #ports: CertificatePorts;
  /** Those that were ordered, by name: as many as there are. */
  readonly #ordered = new Map<string, Held>();

  private constructor(held: readonly Held[], authorities: string | undefined, ports: CertificatePorts) {
    this.#held = held;
    this.#authorities = authorities;
    this.#ports = ports;
  }

  /** Throws OPERATOR_TLS_CERTIFICATE. */
  static async open(
    { certificates, clientAuthorities }: Pick<TlsPlan, "certificates" | "clientAuthorities">,
    ports: CertificatePorts,
  ): Promise<Certificates> {
    const lookedAtMs = ports.clock.monotonic();
    const held = certificates.map(async (files) => {
      const source = filesSource(files, ports.files);
      return { source, lookedAtMs, read: await readPair(source, clientAuthorities, ports.files) };
    });
    return new Certificates(await Promise.all(held), clientAuthorities, ports);
  }

  /** The first that holds for the name; without a name, the first of all. One that is ordered may have to be waited for. */
  async find(name: string | undefined, signal: AbortSignal): Promise<Read["ends"] | undefined> {
    // No certificate can be for it, and OpenSSL throws.
    if (name !== undefined && !/^[\x21-\x7e]+$/.test(name)) return undefined;
    for (const held of this.#held) {
      await this.#refresh(held);
      if (name === undefined || held.read.certificate.checkHost(name) !== undefined) return held.read.ends;
    }
    return await this.#findOrdered(name?.toLowerCase(), signal);
  }

  async #findOrdered(name: string | undefined, signal: AbortSignal): Promise<Read["ends"] | undefined> {
    const { ordered, clock, files } = this.#ports;
    const pair = await ordered?.find(name, signal);
    if (pair === undefined) return undefined;
    const source: Source = {
      name: name ?? "the gateway",
      read: async () => ({ cert: Buffer.from(pair.certificate), key: Buffer.from(pair.key) }),
    };
    const known = this.#ordered.get(source.name);
    const lookedAtMs = clock.monotonic();
    if (known !== undefined && lookedAtMs - known.lookedAtMs < freshMs) return known.read.ends;
    const read = await readPair(source, this.#authorities, files, known?.read);
    this.#ordered.set(source.name, { source, lookedAtMs, read });
    return read.ends;
  }

  async #refresh(held: Held): Promise<void> {
    const { clock, files, log } = this.#ports;
    if (clock.monotonic() - held.lookedAtMs < freshMs) return;
    held.lookedAtMs = clock.monotonic();
    try {
      held.read = await readPair(held.source, this.#authorities, files, held.read);
    } catch (error) {
      // Half of a new pair may be there already: the old one does until both are.
      log.error("certificate-not-read", { file: held.source.name, error });
    }
  }
}

function filesSource({ certificate, key }: CertificateFiles, files: FileReader): Source {
  return {
    name: certificate,
    read: async () => {
      const [cert, privateKey] = await Promise.all([readPem(certificate, files), readPem(key, files)]);
      return { cert, key: privateKey };
    },
  };
}

async function readPem(path: string, files: FileReader): Promise<Buffer> {
  const read = await files.read(path, maxPemBytes);
  if (read === undefined) throw new entryErrors.OPERATOR_TLS_CERTIFICATE(`there is no file ${path}`);
  return Buffer.from(read.bytes);
}

async function readPair(
  source: Source,
  authorities: string | undefined,
  files: FileReader,
  old?: Read,
): Promise<Read> {
  const ca = authorities === undefined ? undefined : await readPem(authorities, files);
  const { cert, key } = await source.read();
  const text = [cert, key, ca ?? ""].map((each) => each.toString("latin1")).join("\n");
  if (text === old?.text) return old;
  try {
    const pair = { cert, key, ...(ca === undefined ? {} : { ca }) };
    if (ca !== undefined && !ca.includes("-----BEGIN ")) throw new Error(`${authorities} is no PEM`);
    const off = new TlsEnd(pair, "off");
    const ends =
      ca === undefined
        ? { off, asked: off, required: off }
        : { off, asked: new TlsEnd(pair, "asked"), required: new TlsEnd(pair, "required") };
    return { text, certificate: new X509Certificate(cert), ends };
  } catch (cause) {
    throw new entryErrors.OPERATOR_TLS_CERTIFICATE(`${source.name}: ${(cause as Error).message}`, { cause });
  }
}

/** A client whose TLS has ended here. */
export interface TlsClient {
  readonly stream: TLSSocket;
  /** Names in its certificate, if an authority of ours vouches for it. */
  readonly certificate?: readonly string[];
}

interface Waiting {
  readonly alpn: readonly string[];
  readonly resolve: (socket: TLSSocket) => void;
  readonly reject: (error: Error) => void;
}

/** One server of Node's that listens nowhere: streams are handed to it, and each finds back to whom it belongs by its context. */
const waiting = new AsyncLocalStorage<Waiting>();

export class TlsEnd {
  readonly #server: Server;
  readonly #asks: boolean;

  /** Throws what OpenSSL says of the certificate or the key. */
  constructor(
    pair: { readonly cert: Buffer; readonly key: Buffer; readonly ca?: Buffer },
    certificates: ClientCertificates,
  ) {
    this.#asks = certificates !== "off";
    this.#server = createServer({
      ...pair,
      minVersion: "TLSv1.2",
      requestCert: this.#asks,
      rejectUnauthorized: certificates === "required",
      // Nobody comes back by a ticket: a certificate is looked at each time.
      ...(this.#asks ? { secureOptions: constants.SSL_OP_NO_TICKET } : {}),
      ALPNCallback: ({ protocols }) =>
        (waiting.getStore()?.alpn ?? alpnNames).find((name) => protocols.includes(name)),
    });
    this.#server.on("secureConnection", (socket) => waiting.getStore()?.resolve(socket));
    this.#server.on("tlsClientError", (error) => waiting.getStore()?.reject(error));
  }

  /** Throws PEER_TLS when the handshake fails; its holder destroys the stream to give up. */
  async take(stream: Duplex, alpn: readonly string[] = alpnNames): Promise<TlsClient> {
    const taken = { ...Promise.withResolvers<TLSSocket>(), alpn };
    const left = (): void => taken.reject(new Error("the client left, or its certificate is not good"));
    stream.once("close", left);
    waiting.run(taken, () => this.#server.emit("connection", stream));
    let secure: TLSSocket;
    try {
      secure = await taken.promise;
    } catch (cause) {
      throw new entryErrors.PEER_TLS((cause as Error).message, { cause });
    } finally {
      stream.off("close", left);
    }
    stream.once("close", () => secure.destroy());
    if (!this.#asks || !secure.authorized) return { stream: secure };
    return { stream: secure, certificate: certificateNames(secure.getPeerCertificate()) };
  }
}

import type { Log } from "#base";
import { printable } from "#client";
import { type Certificate, fingerprint, parsePublicKeyLine } from "#ssh/keys";
import { writePrivate } from "./files.ts";

/** Not oftener, whatever the certificate says. */
const shortestMs = 30_000;

/** After the gateway has given none. */
const againMs = 300_000;

/** What setTimeout can hold is 24 days. */
const longestMs = 24 * 3600 * 1000;

const maxReasonChars = 300;

export interface CertificateParts {
  readonly log: Log;
  /** Of the device's private key; the certificate goes beside it, where each client looks for it. */
  readonly keyFile: string;
  /** SHA256:… of that key. */
  readonly key: string;
  /** Has the gateway run a command. */
  readonly ask: (command: string) => Promise<{ status: number; out: string; err: string }>;
}

/** Fetches the device's certificate by a connection, and the next one in time, until it is disposed of. */
export class CertificateKeeper implements Disposable {
  readonly #parts: CertificateParts;
  #timer: NodeJS.Timeout | undefined;
  #over = false;

  constructor(parts: CertificateParts) {
    this.#parts = parts;
    void this.#keep();
  }

  [Symbol.dispose](): void {
    this.#over = true;
    clearTimeout(this.#timer);
  }

  async #keep(): Promise<void> {
    const { log } = this.#parts;
    let waitMs = againMs;
    try {
      const { validBefore, serial } = await this.#fetch();
      const until = Number(validBefore) * 1000;
      waitMs = renewalMs({ validBefore }, Date.now(), Math.random());
      log.info("certificate-fetched", {
        serial: String(serial),
        until: new Date(until).toISOString(),
        nextSeconds: Math.round(waitMs / 1000),
      });
    } catch (error) {
      // The connection's own end is told where it is waited for.
      if (this.#over) return;
      const reason = (error as Error).message;
      log.warn("certificate-not-fetched", { reason, retrySeconds: againMs / 1000 });
    }
    if (!this.#over) this.#timer = setTimeout(() => void this.#keep(), waitMs);
  }

  async #fetch(): Promise<Certificate> {
    const { ask, keyFile, key } = this.#parts;
    const { status, out, err } = await ask("certificate");
    if (status !== 0) throw new Error(printable(err).trim().slice(0, maxReasonChars) || "it gave none");
    const line = out.trim();
    const certificate = certificateIn(line, key);
    await writePrivate(`${keyFile}-cert.pub`, `${line}\n`, 0o644);
    return certificate;
  }
}

/** A user certificate for the key with that fingerprint, in one line. Throws what is wrong with it. */
export function certificateIn(line: string, key: string): Certificate {
  if (/[\r\n]/.test(line)) throw new Error("what it gave is more than one line");
  const { key: found } = parsePublicKeyLine(line);
  if (!("key" in found) || found.kind !== "user") throw new Error("what it gave is no user certificate");
  if (fingerprint(found.key.blob) !== key) throw new Error("what it gave is for another key");
  return found;
}

/** A third of what is left of it: a gateway that is away twice is no harm. */
export function renewalMs(
  { validBefore }: Pick<Certificate, "validBefore">,
  nowMs: number,
  chance: number,
): number {
  const leftMs = Number(validBefore) * 1000 - nowMs;
  return Math.min(Math.max((leftMs / 3) * (0.9 + 0.2 * chance), shortestMs), longestMs);
}

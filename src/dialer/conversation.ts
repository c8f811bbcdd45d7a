import type { Duplex } from "node:stream";
import type { DialOptions } from "#contract";
import { dialerErrors } from "./errors.ts";

/** What a decoder makes of the bytes so far: undefined, or the message and how many bytes it took. */
export type Decoded<T> = { readonly value: T; readonly length: number } | undefined;

/** A few questions and answers at the beginning of a stream; what comes after them is put back. */
export class Conversation {
  readonly #stream: Duplex;
  readonly #where: string;
  #unread: Uint8Array = new Uint8Array(0);

  /** `where`: whom we speak with, for errors. */
  constructor(stream: Duplex, where: string) {
    this.#stream = stream;
    this.#where = where;
  }

  say(bytes: Uint8Array): void {
    this.#stream.write(bytes);
  }

  /** The next answer. The decoder throws for what can be none, also for one that is too long. Throws UPSTREAM_ errors. */
  async hear<T>(decode: (bytes: Uint8Array) => Decoded<T>): Promise<T> {
    for (;;) {
      const decoded = decode(this.#unread);
      if (decoded !== undefined) {
        this.#unread = this.#unread.subarray(decoded.length);
        return decoded.value;
      }
      const chunk = await this.#next();
      this.#unread = Buffer.concat([this.#unread, chunk]);
    }
  }

  /** What has been read too far belongs to whoever has the stream from now on. */
  end(): void {
    if (this.#unread.length > 0) this.#stream.unshift(this.#unread);
  }

  async #next(): Promise<Uint8Array> {
    const stream = this.#stream;
    const read = stream.read() as Uint8Array | null;
    if (read !== null) return read;
    const came = Promise.withResolvers<void>();
    const lost = (error?: Error): void =>
      came.reject(
        new dialerErrors.UPSTREAM_PROXY_REFUSED(
          `${this.#where}: ${error === undefined ? "it closed the connection" : error.message}`,
        ),
      );
    const over = (): void => lost();
    stream.once("readable", came.resolve);
    stream.once("end", over);
    stream.once("close", over);
    stream.once("error", lost);
    try {
      if (stream.destroyed || stream.readableEnded) lost();
      await came.promise;
    } finally {
      stream.off("readable", came.resolve);
      stream.off("end", over);
      stream.off("close", over);
      stream.off("error", lost);
    }
    return (stream.read() as Uint8Array | null) ?? new Uint8Array(0);
  }
}

/** Has a conversation within the time that dialling may take; if it comes to nothing, the stream is destroyed. */
export async function within<T>(
  stream: Duplex,
  { timeoutMs, signal }: DialOptions,
  where: string,
  talk: () => Promise<T>,
): Promise<T> {
  const given = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => given.reject(new dialerErrors.UPSTREAM_TIMEOUT(`${where}: no answer in ${timeoutMs} ms`)),
    timeoutMs,
  );
  const abort = (): void => given.reject(new dialerErrors.UPSTREAM_UNREACHABLE(`${where}: given up`));
  signal.addEventListener("abort", abort, { once: true });
  // Until it is handed over, its errors are told by what we wait for.
  const ignore = (): void => {};
  stream.on("error", ignore);
  try {
    if (signal.aborted) abort();
    return await Promise.race([talk(), given.promise]);
  } catch (error) {
    stream.destroy();
    throw error;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", abort);
  }
}

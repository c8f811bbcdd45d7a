import type { Clock } from "#base";
import { askAddress } from "../https/index.ts";
import { publicKeyErrors } from "./errors.ts";

/** How an address is asked for keys. */
export interface FetchOptions {
  /** PEM of the authorities to trust in place of the system's. */
  readonly authorities?: string | undefined;
  /** For all of it, redirects included. */
  readonly timeoutMs: number;
  readonly allowHttp: boolean;
  readonly clock: Clock;
}

/** Hundreds of keys. */
const maxAnswerBytes = 256 * 1024;

const maxRedirects = 3;

type Answer = { readonly body: Uint8Array | undefined } | { readonly location: string };

/**
 * Asks an address. Undefined: it says that there is nothing (404, 410). Throws UPSTREAM_KEY_SOURCE_FAILED for every other answer, one
 * that is too long or too late, and a redirect to another scheme.
 */
export async function fetchKeys(address: string, options: FetchOptions): Promise<Uint8Array | undefined> {
  const over = new AbortController();
  const limit = options.clock.after(options.timeoutMs, () =>
    over.abort(new Error(`no answer in ${options.timeoutMs} ms`)),
  );
  try {
    let url = parse(address);
    for (let redirects = 0; redirects <= maxRedirects; redirects++) {
      if (url.protocol !== "https:" && !(url.protocol === "http:" && options.allowHttp))
        throw new Error(`${url.protocol}// is not allowed`);
      const answer = await ask(url, options, over.signal);
      if ("body" in answer) return answer.body;
      url = parse(answer.location, url);
    }
    throw new Error("too many redirects");
  } catch (cause) {
    const why: unknown = over.signal.aborted ? over.signal.reason : cause;
    const reason = why instanceof Error ? why.message : String(why);
    throw new publicKeyErrors.UPSTREAM_KEY_SOURCE_FAILED(`${address}: ${reason}`, { cause });
  } finally {
    limit[Symbol.dispose]();
  }
}

function parse(text: string, base?: URL): URL {
  const url = URL.parse(text, base);
  if (url === null) throw new Error(`${JSON.stringify(text.slice(0, 200))} is no address`);
  return url;
}

async function ask(url: URL, { authorities }: FetchOptions, signal: AbortSignal): Promise<Answer> {
  const headers = { accept: "text/plain" };
  const question = { method: "GET" as const, headers, authorities, maxBytes: maxAnswerBytes, signal };
  const { status, headers: answered, body } = await askAddress(url, question);
  if (status === 404 || status === 410) return { body: undefined };
  if ([301, 302, 303, 307, 308].includes(status) && answered.location !== undefined)
    return { location: answered.location };
  if (status !== 200) throw new Error(`it answered ${status}`);
  return { body };
}

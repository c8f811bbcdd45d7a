import type { CustomFetch, FetchBody } from "openid-client";
import { askAddress } from "../https/index.ts";
import { wordsOf } from "./blame.ts";
import { oidcErrors } from "./errors.ts";
import type { ProviderOptions } from "./provider.ts";
import { defaults } from "./schema.ts";

/** A provider's documents and tokens are a few kilobytes. */
const maxAnswerBytes = 512 * 1024;

/** How the library asks: by our own means, with their bounds. */
export function boundedFetch({ authorities, clock, config }: ProviderOptions): CustomFetch {
  const { timeoutSeconds = defaults.timeoutSeconds } = config;
  return async (address, { method, headers, body, signal }) => {
    const late = new AbortController();
    using _limit = clock.after(timeoutSeconds * 1000, () =>
      late.abort(new oidcErrors.UPSTREAM_OIDC_UNREACHABLE(`no answer in ${timeoutSeconds} seconds`)),
    );
    const url = new URL(address);
    try {
      const answer = await askAddress(url, {
        method: method === "POST" ? "POST" : "GET",
        headers,
        body: bytesOf(body),
        authorities,
        maxBytes: maxAnswerBytes,
        signal: signal === undefined ? late.signal : AbortSignal.any([late.signal, signal]),
      });
      const named = new Headers();
      for (const name of ["content-type", "retry-after", "www-authenticate", "cache-control"]) {
        const value = answer.headers[name];
        if (typeof value === "string") named.set(name, value);
      }
      const bare = [204, 205, 304].includes(answer.status);
      return new Response(bare ? null : Uint8Array.from(answer.body), {
        status: answer.status,
        headers: named,
      });
    } catch (error) {
      if (late.signal.aborted) throw late.signal.reason;
      if (signal?.aborted === true) throw error;
      throw new oidcErrors.UPSTREAM_OIDC_UNREACHABLE(`${url.origin}: ${wordsOf(error)}`);
    }
  };
}

function bytesOf(body: FetchBody): Uint8Array | undefined {
  if (body === undefined || body === null) return undefined;
  if (body instanceof URLSearchParams || typeof body === "string") return Buffer.from(body.toString());
  if (body instanceof Uint8Array) return body;
  throw new oidcErrors.UPSTREAM_OIDC_UNFIT("a question of a form that cannot be sent");
}

import { PosternError } from "#base";
import {
  AuthorizationResponseError,
  ClientError,
  ResponseBodyError,
  WWWAuthenticateChallengeError,
} from "openid-client";
import { oidcErrors } from "./errors.ts";

/** Of what does not fit the login: another issuer, client, time, signature. */
const untrusted = new Set([
  "OAUTH_JWT_CLAIM_COMPARISON_FAILED",
  "OAUTH_JWT_TIMESTAMP_CHECK_FAILED",
  "OAUTH_JSON_ATTRIBUTE_COMPARISON_FAILED",
  "OAUTH_KEY_SELECTION_FAILED",
  "OAUTH_INVALID_SIGNATURE",
]);

/** Whose fault it is that a sign-in came to nothing. Never with the library's own error as the cause: tokens are in it. */
export function blame(error: unknown): PosternError {
  const known = ours(error);
  if (known !== undefined) return known;
  if (error instanceof ResponseBodyError || error instanceof AuthorizationResponseError) {
    if (error.error === "access_denied") return new oidcErrors.DENIED_OIDC_REFUSED();
    if (error.error === "expired_token")
      return new oidcErrors.DENIED_OIDC_EXPIRED("the provider's time was over");
    return new oidcErrors.UPSTREAM_OIDC_UNFIT(`it answered ${plain(error.error)}`);
  }
  if (error instanceof WWWAuthenticateChallengeError)
    return new oidcErrors.UPSTREAM_OIDC_UNFIT(`it answered ${error.status}`);
  if (error instanceof ClientError) {
    const { code = "", cause } = error;
    const inner = cause instanceof Error ? `: ${wordsOf(cause)}` : "";
    const text = `${wordsOf(error)}${inner}`;
    if (untrusted.has(code) || /signature|JWT|ID Token|issuer/i.test(text))
      return new oidcErrors.UPSTREAM_OIDC_UNTRUSTED(text);
    return code === "OAUTH_TIMEOUT"
      ? new oidcErrors.UPSTREAM_OIDC_UNREACHABLE(text)
      : new oidcErrors.UPSTREAM_OIDC_UNFIT(text);
  }
  return new oidcErrors.UPSTREAM_OIDC_UNFIT(wordsOf(error));
}

/** An error of ours that the library has wrapped. */
function ours(error: unknown): PosternError | undefined {
  let at: unknown = error;
  for (let depth = 0; depth < 5 && at instanceof Error; depth += 1) {
    if (at instanceof PosternError) return at;
    at = at.cause;
  }
  return undefined;
}

/** An error's own words: the library's are fixed sentences, the provider's are cut to what can be shown. */
export function wordsOf(error: unknown): string {
  if (!(error instanceof Error)) return "an error without a name";
  if (error instanceof AggregateError && error.message === "") return error.errors.map(wordsOf).join(", ");
  return plain(error.message);
}

function plain(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]/g, "?").slice(0, 200);
}

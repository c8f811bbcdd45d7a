import type { Clock } from "#base";
import { createHash } from "node:crypto";
import * as client from "openid-client";
import { askAddress } from "../https/index.ts";
import { oidcErrors } from "./errors.ts";
import type { Claims } from "./person.ts";
import { defaults, type OidcConfig } from "./schema.ts";
import { blame, wordsOf } from "./blame.ts";

/** A provider's documents and tokens are a few kilobytes. */
const maxAnswerBytes = 512 * 1024;

/** How long what a provider says of itself holds. */
const metadataMs = 3_600_000;

/** How far apart clocks may be; a token that is older than the login by more is not of this login. */
const skewSeconds = 60;

/** Tokens that are remembered, so that none counts twice: more than can be had in the time that they hold. */
const maxSpent = 10_000;

/** What a person is to be shown. */
export interface DeviceCode {
  readonly userCode: string;
  /** Where the code is typed. */
  readonly address: string;
  /** The same with the code in it. */
  readonly addressWithCode?: string;
}

/** A sign-in that has begun. */
export interface SignIn {
  readonly code: DeviceCode;
  /** What the provider says of who signed in. Rejects with UPSTREAM_OIDC_ and DENIED_OIDC_ errors, and with the signal's reason. */
  finished(signal: AbortSignal): Promise<Claims & { readonly sub: string }>;
}

export interface ProviderOptions {
  readonly config: OidcConfig;
  /** Claims to ask for at the provider's userinfo endpoint, if the token has not all of them. */
  readonly claims: readonly string[];
  /** PEM. */
  readonly authorities: string | undefined;
  readonly clock: Clock;
}

/** One OpenID provider, as this gateway's client there. */
export class Provider {
  readonly #options: ProviderOptions;
  #found: { readonly configuration: Promise<client.Configuration>; readonly atMs: number } | undefined;
  readonly #spent = new Set<string>();

  constructor(options: ProviderOptions) {
    this.#options = options;
  }

  /** Asks for a code (RFC 8628, section 3.1). Rejects with UPSTREAM_OIDC_ errors. */
  async begin(): Promise<SignIn> {
    const { config, clock } = this.#options;
    const { scopes = defaults.scopes, waitSeconds = defaults.waitSeconds } = config;
    const configuration = await this.#configuration();
    const startedMs = clock.now();
    const given = await client
      .initiateDeviceAuthorization(configuration, { scope: scopes.join(" ") })
      .catch((error: unknown) => {
        throw blame(error);
      });
    const code = this.#codeIn(given);
    const seconds = Math.min(waitSeconds, given.expires_in);
    return { code, finished: (signal) => this.#finish(configuration, given, { seconds, startedMs, signal }) };
  }

  async #finish(
    configuration: client.Configuration,
    given: client.DeviceAuthorizationResponse,
    { seconds, startedMs, signal }: { seconds: number; startedMs: number; signal: AbortSignal },
  ): Promise<Claims & { readonly sub: string }> {
    const over = new AbortController();
    using _limit = this.#options.clock.after(seconds * 1000, () => over.abort());
    const both = AbortSignal.any([over.signal, signal]);
    try {
      const tokens = await client.pollDeviceAuthorizationGrant(configuration, given, undefined, {
        signal: both,
      });
      const claims = tokens.claims();
      if (claims === undefined || tokens.id_token === undefined)
        throw new oidcErrors.UPSTREAM_OIDC_UNTRUSTED("it gave no ID token");
      this.#checkFresh(claims, startedMs);
      this.#spend(tokens.id_token);
      return await this.#completed(configuration, tokens.access_token, claims);
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      if (over.signal.aborted) throw new oidcErrors.DENIED_OIDC_EXPIRED(`${seconds} seconds`);
      throw blame(error);
    }
  }

  /** What the token does not say, the provider may say when asked; about the same person alone. */
  async #completed(
    configuration: client.Configuration,
    accessToken: string,
    claims: client.IDToken,
  ): Promise<Claims & { readonly sub: string }> {
    const missing = this.#options.claims.some((name) => !Object.hasOwn(claims, name));
    if (!missing || configuration.serverMetadata().userinfo_endpoint === undefined) return claims;
    const more = await client.fetchUserInfo(configuration, accessToken, claims.sub);
    return { ...more, ...claims };
  }

  #checkFresh({ iat }: client.IDToken, startedMs: number): void {
    if (iat * 1000 < startedMs - skewSeconds * 1000)
      throw new oidcErrors.UPSTREAM_OIDC_UNTRUSTED("the token was made before this login began");
  }

  #spend(token: string): void {
    const mark = createHash("sha256").update(token).digest("base64url");
    if (this.#spent.has(mark)) throw new oidcErrors.UPSTREAM_OIDC_UNTRUSTED("the token was used before");
    this.#spent.add(mark);
    if (this.#spent.size <= maxSpent) return;
    for (const oldest of this.#spent) {
      this.#spent.delete(oldest);
      break;
    }
  }

  /** Only what can be shown to anybody: a provider that was taken over must not write to terminals. */
  #codeIn(given: client.DeviceAuthorizationResponse): DeviceCode {
    const { user_code: userCode, verification_uri: address, verification_uri_complete: complete } = given;
    if (!/^[\x21-\x7e]{1,64}$/.test(userCode))
      throw new oidcErrors.UPSTREAM_OIDC_UNFIT("its code cannot be shown");
    return {
      userCode,
      address: this.#shown(address),
      ...(complete === undefined ? {} : { addressWithCode: this.#shown(complete) }),
    };
  }

  #shown(text: string): string {
    const url = URL.parse(text);
    const { dangerouslyAllowHttp } = this.#options.config;
    const known = url?.protocol === "https:" || (url?.protocol === "http:" && dangerouslyAllowHttp === true);
    if (!known || !/^[\x21-\x7e]{1,500}$/.test(text))
      throw new oidcErrors.UPSTREAM_OIDC_UNFIT("its address for people cannot be shown");
    return text;
  }

  /** What the provider says of itself; asked for once for all who want it. */
  #configuration(): Promise<client.Configuration> {
    const nowMs = this.#options.clock.monotonic();
    const kept = this.#found;
    if (kept !== undefined && nowMs < kept.atMs + metadataMs) return kept.configuration;
    const found = { configuration: this.#discover(), atMs: nowMs };
    this.#found = found;
    found.configuration.catch(() => {
      if (this.#found === found) this.#found = undefined;
    });
    return found.configuration;
  }

  async #discover(): Promise<client.Configuration> {
    const { clientId, clientSecret, issuer, dangerouslyAllowHttp } = this.#options.config;
    const { timeoutSeconds = defaults.timeoutSeconds } = this.#options.config;
    const execute = dangerouslyAllowHttp === true ? [client.allowInsecureRequests] : [];
    const ask = this.#fetch();
    try {
      const found = await client.discovery(new URL(issuer), clientId, undefined, client.None(), {
        [client.customFetch]: ask,
        timeout: timeoutSeconds,
        execute,
      });
      const metadata = found.serverMetadata();
      if (metadata.issuer !== issuer && metadata.issuer !== new URL(issuer).href)
        throw new oidcErrors.UPSTREAM_OIDC_UNTRUSTED("it calls itself by another name than `issuer`");
      if (metadata.device_authorization_endpoint === undefined)
        throw new oidcErrors.UPSTREAM_OIDC_UNFIT("it has no device authorization (RFC 8628)");
      const secretText = clientSecret?.text().trim();
      const methods = metadata.token_endpoint_auth_methods_supported ?? ["client_secret_basic"];
      const proof =
        secretText === undefined
          ? client.None()
          : methods.includes("client_secret_basic")
            ? client.ClientSecretBasic(secretText)
            : client.ClientSecretPost(secretText);
      const known = { [client.clockTolerance]: skewSeconds };
      const configuration = new client.Configuration(metadata, clientId, known, proof);
      configuration[client.customFetch] = ask;
      configuration.timeout = timeoutSeconds;
      for (const apply of [...execute, client.enableNonRepudiationChecks]) apply(configuration);
      return configuration;
    } catch (error) {
      throw blame(error);
    }
  }

  /** How the library asks: by our own means, with their bounds. */
  #fetch(): client.CustomFetch {
    const { authorities, clock, config } = this.#options;
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
}

function bytesOf(body: client.FetchBody): Uint8Array | undefined {
  if (body === undefined || body === null) return undefined;
  if (body instanceof URLSearchParams || typeof body === "string") return Buffer.from(body.toString());
  if (body instanceof Uint8Array) return body;
  throw new oidcErrors.UPSTREAM_OIDC_UNFIT("a question of a form that cannot be sent");
}

import type { Clock } from "#base";
import type { SignInWants } from "#contract";
import { createHash } from "node:crypto";
import * as client from "openid-client";
import { oidcErrors } from "./errors.ts";
import type { Claims } from "./person.ts";
import { defaults, type OidcConfig } from "./schema.ts";
import { blame } from "./blame.ts";
import { boundedFetch } from "./bounded-fetch.ts";

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

/** A browser that is on its way there. */
export interface Visit {
  readonly address: string;
  readonly state: string;
  /** What the provider says of who came back. Rejects with UPSTREAM_OIDC_ and DENIED_OIDC_ errors. */
  finish(query: string): Promise<Claims & { readonly sub: string }>;
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
    if (configuration.serverMetadata().device_authorization_endpoint === undefined)
      throw new oidcErrors.UPSTREAM_OIDC_UNFIT(
        "it has no device authorization (RFC 8628): take flow: browser",
      );
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

  /**
   * Sends a browser there (RFC 6749, section 4.1, with PKCE by RFC 7636): what it brings back can be cashed in here alone, and once.
   * Rejects with UPSTREAM_OIDC_ errors.
   */
  async visit(callback: string, wants: SignInWants, mark = ""): Promise<Visit> {
    const configuration = await this.#configuration();
    const { authorization_endpoint: endpoint } = configuration.serverMetadata();
    if (endpoint === undefined)
      throw new oidcErrors.UPSTREAM_OIDC_UNFIT("it has no authorization endpoint (RFC 6749)");
    const [verifier, state, nonce] = [
      client.randomPKCECodeVerifier(),
      `${mark}${client.randomState()}`,
      client.randomNonce(),
    ];
    const startedMs = this.#options.clock.now();
    const challenge = await client.calculatePKCECodeChallenge(verifier);
    let address: URL;
    try {
      address = client.buildAuthorizationUrl(configuration, {
        redirect_uri: callback,
        scope: wants.scopes.join(" "),
        state,
        nonce,
        code_challenge: challenge,
        code_challenge_method: "S256",
      });
    } catch (error) {
      throw blame(error);
    }
    let isSpent = false;
    return {
      address: this.#shown(address.href),
      state,
      finish: async (query) => {
        if (isSpent) throw new oidcErrors.UPSTREAM_OIDC_UNTRUSTED("it was answered twice");
        isSpent = true;
        try {
          const tokens = await client.authorizationCodeGrant(configuration, new URL(`${callback}?${query}`), {
            pkceCodeVerifier: verifier,
            expectedState: state,
            expectedNonce: nonce,
            idTokenExpected: true,
          });
          return await this.#told(configuration, tokens, wants.claims, startedMs);
        } catch (error) {
          throw blame(error);
        }
      },
    };
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
      return await this.#told(configuration, tokens, this.#options.claims, startedMs);
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      if (over.signal.aborted) throw new oidcErrors.DENIED_OIDC_EXPIRED(`${seconds} seconds`);
      throw blame(error);
    }
  }

  /** Who it is, of tokens that the library has checked. */
  async #told(
    configuration: client.Configuration,
    tokens: client.TokenEndpointResponse & client.TokenEndpointResponseHelpers,
    wanted: readonly string[],
    startedMs: number,
  ): Promise<Claims & { readonly sub: string }> {
    const claims = tokens.claims();
    if (claims === undefined || tokens.id_token === undefined)
      throw new oidcErrors.UPSTREAM_OIDC_UNTRUSTED("it gave no ID token");
    this.#checkFresh(claims, startedMs);
    this.#spend(tokens.id_token);
    return await this.#completed(configuration, tokens.access_token, claims, wanted);
  }

  /** What the token does not say, the provider may say when asked; about the same person alone. */
  async #completed(
    configuration: client.Configuration,
    accessToken: string,
    claims: client.IDToken,
    wanted: readonly string[],
  ): Promise<Claims & { readonly sub: string }> {
    const missing = wanted.some((name) => !Object.hasOwn(claims, name));
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
    if (!known || !/^[\x21-\x7e]{1,2000}$/.test(text))
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
    const ask = boundedFetch(this.#options);
    try {
      const found = await client.discovery(new URL(issuer), clientId, undefined, client.None(), {
        [client.customFetch]: ask,
        timeout: timeoutSeconds,
        execute,
      });
      const metadata = found.serverMetadata();
      if (metadata.issuer !== issuer && metadata.issuer !== new URL(issuer).href)
        throw new oidcErrors.UPSTREAM_OIDC_UNTRUSTED("it calls itself by another name than `issuer`");
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
}

import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { readFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { Provider } from "oidc-provider";
import type { Browser } from "./browser.ts";
import { FormBrowser, type Page } from "./form-browser.ts";
import type { Pieces } from "./gateway.ts";
import { startHttps } from "./https-server.ts";
import type { TempDir } from "./temp-dir.ts";

/** What a provider says of its people, besides what they are called. */
export type Account = Readonly<Record<string, unknown>>;

export interface OpenIdProvider extends AsyncDisposable {
  readonly issuer: string;
  /** Path of the certificate to be trusted. */
  readonly certificate: string;
  /** Stands before it: true when it has answered itself. */
  trouble: ((request: IncomingMessage, response: ServerResponse) => boolean) | undefined;
  /** Paths that were asked for. */
  readonly asked: string[];
  /** Opens the address that ssh has shown, signs in, and consents; or refuses. The text of the last page. */
  signIn(address: string, login: string, answer?: "consent" | "refuse"): Promise<string>;
  /** From the provider's question for a name, to where it leads. */
  answer(browser: FormBrowser, question: Page, login: string): Promise<Page>;
}

export interface OpenIdOptions {
  /** Where browsers may come back to, for a provider at this origin. */
  readonly callbacks?: (origin: string) => readonly string[];
  /** Without the device authorization grant. */
  readonly withoutDevices?: boolean;
  /** What its files are called. */
  readonly name?: string;
}

export const openIdClient = { id: "postern", secret: "a secret of the gateway's own" };

/** The name of the gateway's own pages. */
export const signInHost = "login.gate.example";

/** Where browsers come back to, for a gateway whose pages are at an address. */
export function callbacksAt(address: string): (origin: string) => readonly string[] {
  return (origin) => [`${address}/callback/${new URL(origin).host}`];
}

/** `login` by this provider. */
export function oidcLogin(
  { issuer, certificate }: Pick<OpenIdProvider, "issuer" | "certificate">,
  more: Pieces = {},
): Pieces {
  return {
    kind: "oidc",
    issuer,
    clientId: openIdClient.id,
    clientSecret: openIdClient.secret,
    tlsAuthorities: certificate,
    allow: { emails: ["*@example.com"] },
    user: { emailDomain: "example.com" },
    ...more,
  };
}

/** Answers the provider's questions in a real browser that is there, or on its way. */
export async function signInWith(browser: Browser, login: string): Promise<void> {
  const isThere =
    'document.readyState === "complete" && document.querySelector("form button, form [type=submit]")';
  const press = 'void document.querySelector("form button, form [type=submit]").click()';
  const question = 'document.querySelector("input[name=login]")';
  await browser.when(`${question} && ${isThere}`);
  await browser.type("input[name=login]", login);
  await browser.type("input[name=password]", "any");
  await browser.value(press);
  await browser.when(`location.pathname.startsWith("/interaction/") && !${question} && ${isThere}`);
  await browser.value(press);
}

/** A real OpenID provider with device flow on loopback. Its people have any password. */
export async function startOpenId(
  folder: TempDir,
  accounts: Readonly<Record<string, Account>>,
  options: OpenIdOptions = {},
): Promise<OpenIdProvider> {
  let listener: (request: IncomingMessage, response: ServerResponse) => void = () => {};
  const asked: string[] = [];
  const server = await startHttps(folder, options.name ?? "openid", (request, response) => {
    asked.push(request.url ?? "");
    if (found.trouble?.(request, response) !== true) listener(request, response);
  });
  const { origin, certificate } = server;
  const provider = new Provider(origin, settings(origin, accounts, options));
  provider.use(async (context, next) => {
    await next();
    // Five seconds is the default of RFC 8628; a test is as well served by one.
    if (context.oidc?.route === "device_authorization" && typeof context.body === "object")
      context.body = { ...context.body, interval: 1 };
  });
  listener = provider.callback();
  const authority = readFileSync(certificate, "utf8");
  const found: OpenIdProvider = {
    issuer: origin,
    certificate,
    trouble: undefined,
    asked,
    signIn: async (address, login, answer = "consent") => {
      const browser = new FormBrowser(authority);
      const confirm = await browser.submit(await browser.open(address));
      assert.equal(confirm.status, 200, confirm.text);
      if (answer === "refuse") return (await browser.submit(confirm, { abort: "yes" })).text;
      const question = await browser.submit(confirm);
      assert.match(question.text, /name="login"/);
      return (await found.answer(browser, question, login)).text;
    },
    answer: async (browser, question, login) => {
      const consent = await browser.submit(question, { login, password: "any" });
      return await browser.submit(consent);
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
  return found;
}

function settings(
  origin: string,
  accounts: Readonly<Record<string, Account>>,
  { callbacks = () => [], withoutDevices = false }: OpenIdOptions,
): object {
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const redirects = callbacks(origin);
  const device = {
    grant_types: [
      ...(withoutDevices ? [] : ["urn:ietf:params:oauth:grant-type:device_code"]),
      ...(redirects.length === 0 ? [] : ["authorization_code"]),
    ],
    response_types: redirects.length === 0 ? [] : ["code"],
    redirect_uris: redirects,
  };
  return {
    clients: [
      { client_id: openIdClient.id, client_secret: openIdClient.secret, ...device },
      { client_id: "public", token_endpoint_auth_method: "none", ...device },
    ],
    features: { deviceFlow: { enabled: !withoutDevices }, devInteractions: { enabled: true } },
    findAccount: (_: unknown, id: string) => ({
      accountId: id,
      claims: () => ({ sub: id, ...accounts[id] }),
    }),
    claims: {
      openid: ["sub"],
      email: ["email", "email_verified"],
      profile: ["preferred_username"],
      groups: ["groups"],
    },
    scopes: ["openid", "email", "profile", "groups"],
    jwks: { keys: [{ ...privateKey.export({ format: "jwk" }), use: "sig", alg: "RS256", kid: "test" }] },
    cookies: { keys: ["of no worth"] },
  };
}

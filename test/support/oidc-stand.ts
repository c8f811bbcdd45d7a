import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { parseTemplate, type Template } from "#base";
import type { AuthContext } from "#contract";

export type Json = Readonly<Record<string, unknown>>;

const keys = generateKeyPairSync("rsa", { modulusLength: 2048 });

/** What a provider shows of the key that it signs with, `k`. */
export const signingKeys: Json = {
  keys: [{ ...keys.publicKey.export({ format: "jwk" }), kid: "k", alg: "RS256", use: "sig" }],
};

/** A signed ID token; with "none", one that says that nobody signed it. */
export function idToken(
  claims: Json,
  { key = keys.privateKey, alg = "RS256" }: { key?: KeyObject; alg?: string } = {},
): string {
  const part = (value: Json): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  const text = `${part({ alg, kid: "k" })}.${part(claims)}`;
  const mac = alg === "none" ? "" : sign("sha256", Buffer.from(text), key).toString("base64url");
  return `${text}.${mac}`;
}

/** What is right for the client `postern`. */
export function goodClaims(issuer: string): Json {
  const seconds = Math.floor(Date.now() / 1000);
  return {
    iss: issuer,
    aud: "postern",
    sub: "s1",
    iat: seconds,
    exp: seconds + 60,
    email: "ada@example.com",
    email_verified: true,
  };
}

/** A provider on loopback that says what it is told to. */
export interface ProviderStand extends AsyncDisposable {
  readonly issuer: string;
}

export async function startProvider(
  answer: (request: IncomingMessage, response: ServerResponse, issuer: string) => void,
): Promise<ProviderStand> {
  const server = createServer((request, response) => answer(request, response, issuer));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const issuer = `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`;
  return {
    issuer,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

export function answerJson(response: ServerResponse, value: Json, status = 200): void {
  response.statusCode = status;
  response.setHeader("content-type", "application/json");
  response.end(JSON.stringify(value));
}

/** A login method for such a provider: everybody of example.com, for a second. */
export const oidcBasics: {
  readonly kind: "oidc";
  readonly clientId: string;
  readonly allow: { readonly emails: readonly string[] };
  readonly user: { readonly emailDomain: string };
  readonly name: Template;
  readonly timeoutSeconds: number;
  readonly waitSeconds: number;
  readonly dangerouslyAllowHttp: boolean;
} = {
  kind: "oidc",
  clientId: "postern",
  allow: { emails: ["*@example.com"] },
  user: { emailDomain: "example.com" },
  name: parseTemplate("{user}"),
  timeoutSeconds: 1,
  waitSeconds: 5,
  dangerouslyAllowHttp: true,
};

export const adaLogsIn: AuthContext = {
  user: "ada",
  captures: { user: "ada" },
  from: { text: "unix" },
  nowMs: 0,
  signal: AbortSignal.any([]),
  pretended: false,
};

import type { AuthContext, KeyProof, Proof } from "#contract";
import { type Certificate, fingerprint, formatPublicKey } from "#ssh/keys";
import * as z from "zod";

const text = z.string();
const port = z.int().min(0).max(65_535);

const key = z.strictObject({
  line: text.describe("The key as a line of authorized_keys; of a certificate, the key in it."),
  fingerprint: text.describe("SHA256:…"),
  proven: z
    .boolean()
    .describe(
      "false: the client only asks whether this key would do, and nothing shows yet that it is the client's. It is asked again when it is proven; only that answer lets anybody in.",
    ),
  touched: z.boolean().optional().describe("Of a security key: somebody touched it for this login."),
  verified: z.boolean().optional().describe("Of a security key: it asked for its PIN or finger."),
});

const certificate = z.strictObject({
  keyId: text,
  serial: text.describe("A number of up to 64 bits, as text."),
  principals: z.array(text),
  validAfter: text.describe("Seconds since 1970, as text."),
  validBefore: text.describe("Likewise; 18446744073709551615 is for ever."),
  authority: z
    .strictObject({ line: text, fingerprint: text })
    .describe("Who signed it: one of the `authorities` of the login method."),
  criticalOptions: z.array(text).describe("Names; the gateway obeys them."),
  extensions: z.array(text).describe("Names; the gateway obeys them."),
});

/** What is sent. */
export const requestSchema: z.ZodType = z
  .strictObject({
    version: z.literal(1).describe("Of this form."),
    sentAt: text.describe("When, in UTC, as ISO 8601."),
    session: text.describe("The session's id, as in log and audit."),
    rule: text.describe("The name of the rule."),
    user: text.describe("The name that the client logs in with."),
    captures: z.record(text, text).describe("What the rule's pattern found in it."),
    client: z.strictObject({
      address: text.optional().describe("IP address; absent for a UNIX socket."),
      port: port.optional(),
    }),
    listener: z.strictObject({
      name: text.describe("The entry point."),
      address: text.optional().describe("The address that the client connected to."),
      port: port.optional(),
    }),
    method: z
      .enum(["publickey", "password", "keyboard-interactive"])
      .describe("SSH's name of the method; keyboard-interactive without a password shows nothing."),
    passed: z
      .array(z.strictObject({ method: text, by: text }))
      .describe("Steps of the login that are done: method, and what proved it."),
    key: key.optional().describe("The key that the client shows."),
    certificate: certificate.optional().describe("The certificate that the client shows."),
    password: text.optional().describe("Only with sendPassword."),
  })
  .describe("What Postern sends.");

interface ShownKey {
  readonly line: string;
  readonly fingerprint: string;
  readonly proven: boolean;
  readonly touched?: boolean;
  readonly verified?: boolean;
}

interface ShownCertificate {
  readonly keyId: string;
  readonly serial: string;
  readonly principals: readonly string[];
  readonly validAfter: string;
  readonly validBefore: string;
  readonly authority: { readonly line: string; readonly fingerprint: string };
  readonly criticalOptions: readonly string[];
  readonly extensions: readonly string[];
}

export interface WebhookRequest {
  readonly version: 1;
  readonly sentAt: string;
  readonly session: string;
  readonly rule: string;
  readonly user: string;
  readonly captures: Readonly<Record<string, string>>;
  readonly client: { readonly address?: string; readonly port?: number };
  readonly listener: { readonly name: string; readonly address?: string; readonly port?: number };
  readonly method: Proof["method"];
  readonly passed: readonly { readonly method: string; readonly by: string }[];
  readonly key?: ShownKey;
  readonly certificate?: ShownCertificate;
  readonly password?: string;
}

/** What is told of a login. `password` only where the operator wants it sent. */
export function requestOf(
  proof: Proof,
  { user, captures, from, login }: AuthContext,
  { nowMs, password }: { readonly nowMs: number; readonly password?: string | undefined },
): WebhookRequest {
  const { to } = login ?? {};
  return {
    version: 1,
    sentAt: new Date(nowMs).toISOString(),
    session: login?.session ?? "",
    rule: login?.rule ?? "",
    user,
    captures: definedIn(captures),
    client: {
      ...(from.ip === undefined ? {} : { address: from.ip }),
      ...(from.port === undefined ? {} : { port: from.port }),
    },
    listener: { name: login?.via ?? "", ...(to === undefined ? {} : { address: to.ip, port: to.port }) },
    method: proof.method,
    passed: login?.passed ?? [],
    ...(proof.method === "publickey" ? shown(proof) : {}),
    ...(password === undefined ? {} : { password }),
  };
}

function definedIn(captures: AuthContext["captures"]): Record<string, string> {
  return Object.fromEntries(
    Object.entries(captures).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  );
}

function shown({
  key: given,
  proven,
  touched,
  verified,
}: KeyProof): Pick<WebhookRequest, "key" | "certificate"> {
  const plain = "key" in given ? given.key : given;
  return {
    key: {
      line: formatPublicKey(plain.blob),
      fingerprint: fingerprint(plain.blob),
      proven,
      ...(touched === undefined ? {} : { touched }),
      ...(verified === undefined ? {} : { verified }),
    },
    ...("key" in given ? { certificate: described(given) } : {}),
  };
}

function described({
  keyId,
  serial,
  principals,
  validAfter,
  validBefore,
  authority,
  criticalOptions,
  extensions,
}: Certificate): ShownCertificate {
  return {
    keyId,
    serial: String(serial),
    principals,
    validAfter: String(validAfter),
    validBefore: String(validBefore),
    authority: { line: formatPublicKey(authority.blob), fingerprint: fingerprint(authority.blob) },
    criticalOptions: [...criticalOptions.keys()],
    extensions: [...extensions.keys()],
  };
}

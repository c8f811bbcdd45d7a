import { hash } from "node:crypto";
import { z } from "zod";
import {
  type Captures,
  defineErrors,
  type ErrorTable,
  pathTemplate,
  PosternError,
  Recent,
  type Template,
} from "#base";
import type { AuthContext, AuthKind, AuthPorts, KeyProof, Proof, Verdict } from "#contract";
import {
  type AuthorizedKey,
  certificateOptions,
  checkAuthorizedKey,
  fingerprint,
  isForKey,
  missingPresence,
  parseAuthorizedKeys,
} from "#ssh/keys";
import { restrictionsOf } from "./restrictions.ts";

const rows = {
  OPERATOR_AUTHORIZED_KEY_INVALID: {
    user: "The gateway is not set up correctly.",
    operator: "a public key in the configuration is not one line of authorized_keys",
  },
} as const;

export const publicKeyErrors: ErrorTable<typeof rows> = defineErrors(rows);

const schema = z
  .strictObject({
    kind: z.literal("publickey"),
    files: z
      .array(pathTemplate())
      .min(1)
      .optional()
      .describe(
        "Files in the form of authorized_keys (sshd(8)), read at each login; may use {user} and captures.",
      )
      .meta({ examples: [["/etc/postern/keys/{user}"]] }),
    keys: z
      .array(z.string().min(1))
      .min(1)
      .optional()
      .describe("Lines in the same form.")
      .meta({ examples: [["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA… ada"]] }),
  })
  .refine(({ files, keys }) => files !== undefined || keys !== undefined, { error: "give files, or keys" });

export interface PublicKeyConfig {
  readonly kind: "publickey";
  readonly files?: readonly Template[] | undefined;
  readonly keys?: readonly string[] | undefined;
}

/** Room for thousands of keys; a larger file is a mistake, and each login would read it. */
const maxFileBytes = 1024 * 1024;

/** A client may ask about dozens of keys before it logs in: a file that has not changed is not parsed for each. */
const parsedFiles = new Recent<string, readonly AuthorizedKey[]>(64);

/** A public key that stands in an authorized_keys file or list, or a certificate by an authority that does. */
export const publickey: AuthKind<PublicKeyConfig> = {
  kind: "publickey",
  summary: "A public key or certificate, found in files or a list in the form of authorized_keys.",
  schema,
  create: async ({ files = [], keys = [] }, ports) => {
    const listed = keys.map(listedKey);
    return {
      kind: "publickey",
      methods: ["publickey"],
      defers: false,
      givesPassword: false,
      attempt: (proof, context) => attempt(proof, context, listed, files, ports),
      [Symbol.asyncDispose]: async () => {},
    };
  },
};

function listedKey(line: string): AuthorizedKey {
  let reason = "it is empty, or a comment";
  const [parsed] = parseAuthorizedKeys(line, "configuration", (warning) => {
    ({ reason } = warning);
  });
  if (parsed === undefined) throw new publicKeyErrors.OPERATOR_AUTHORIZED_KEY_INVALID(reason);
  return parsed;
}

async function attempt(
  proof: Proof,
  context: AuthContext,
  listed: readonly AuthorizedKey[],
  files: readonly Template[],
  ports: AuthPorts,
): Promise<Verdict> {
  if (proof.method !== "publickey") return { kind: "denied", reason: "no key was shown" };
  const lines = [...listed];
  for (const template of files) lines.push(...(await readKeys(template, context.captures, ports)));
  let reason = "the key is not listed";
  // Several lines may be about one key: the first that lets it in counts.
  for (const line of lines) {
    if (!isForKey(line, proof.key)) continue;
    const refusal = refuse(line, proof, context);
    if (refusal === undefined) {
      const restrictions = restrictionsOf(line.options, certifiedOptions(proof.key));
      return { kind: "accepted", by: describe(proof), restrictions };
    }
    reason = `${line.fileName}:${line.line}: ${refusal}`;
  }
  return { kind: "denied", reason };
}

async function readKeys(
  template: Template,
  captures: Captures,
  ports: AuthPorts,
): Promise<readonly AuthorizedKey[]> {
  // A name that comes from the client fills in one part of a path, and can lead nowhere else.
  const unsafe = template.names.some((name) => !/^(?!\.{0,2}$)[^/\0]+$/.test(captures[name] ?? ""));
  const path = unsafe ? undefined : template.expand(captures);
  if (path === undefined) return [];
  try {
    const read = await ports.files.read(path, maxFileBytes);
    if (read === undefined) return [];
    if ((read.mode & 0o002) !== 0) {
      ports.log.warn("authorized-keys-ignored", { file: path, reason: "everybody may write to it" });
      return [];
    }
    return parsedFiles.of(`${hash("sha256", read.bytes)} ${path}`, () =>
      parseAuthorizedKeys(Buffer.from(read.bytes).toString("utf8"), path, (warning) =>
        ports.log.warn("authorized-keys-line-ignored", { ...warning }),
      ),
    );
  } catch (error) {
    if (!(error instanceof PosternError)) throw error;
    ports.log.error("authorized-keys-ignored", { file: path, error });
    return [];
  }
}

/** Why a line does not let in the bearer of the key it is about; undefined if it does. */
function refuse(
  line: AuthorizedKey,
  proof: KeyProof,
  { user, from, nowMs }: AuthContext,
): string | undefined {
  const { key } = proof;
  const refusal = checkAuthorizedKey(line, key, {
    user,
    address: from.ip ?? "unix",
    nowSeconds: Math.floor(nowMs / 1000),
  });
  if (refusal !== undefined) return refusal;
  const certified = certifiedOptions(key);
  const { command } = line.options;
  if (command !== undefined && certified?.forceCommand !== undefined && command !== certified.forceCommand)
    return "the line and the certificate have different commands";
  if (!proof.proven) return undefined;
  return missingPresence(
    {
      valid: true,
      ...(proof.touched === undefined ? {} : { touched: proof.touched }),
      ...(proof.verified === undefined ? {} : { verified: proof.verified }),
    },
    {
      touchRequired: line.options.touchRequired || (certified?.touchRequired ?? false),
      verifyRequired: line.options.verifyRequired || (certified?.verifyRequired ?? false),
    },
  );
}

function certifiedOptions(key: KeyProof["key"]): ReturnType<typeof certificateOptions> | undefined {
  return "key" in key ? certificateOptions(key) : undefined;
}

function describe({ key }: KeyProof): string {
  if (!("key" in key)) return `${key.type} ${fingerprint(key.blob)}`;
  const authority = fingerprint(key.authority.blob);
  return `${key.type} ${fingerprint(key.key.blob)} id ${JSON.stringify(key.keyId)} serial ${key.serial} by ${authority}`;
}

import { randomBytes } from "node:crypto";
import type { CredentialContext, CredentialKind, CredentialPorts } from "#contract";
import {
  type CertificateContents,
  fingerprint,
  generatePrivateKey,
  type KeySigner,
  type PublicKey,
  signCertificate,
  withCertificate,
} from "#ssh/keys";
import { AgentSocket, openAgentKey } from "../local-agent/index.ts";
import { credentialErrors } from "../errors.ts";
import { readKeyFile } from "../key-file.ts";
import { type AuthorityConfig, type CertificateConfig, certificateSchema } from "./schema.ts";

export type { CertificateConfig } from "./schema.ts";

/** Characters of a person's name in the key id; a name can be longer, a line of sshd's log should not. */
const maxPersonCharacters = 256;

/** A certificate of the gateway's own user CA, made for one session. */
export const certificate: CredentialKind<CertificateConfig> = {
  kind: "certificate",
  summary:
    "A fresh key for each session, with a certificate by the gateway's own user CA: the upstream trusts the CA, and no key of the gateway's lies there.",
  schema: certificateSchema,
  async create(config, ports) {
    const authority = await openAuthority(config, ports);
    return {
      kind: "certificate",
      needsClientPassword: false,
      ways: async (context) => [{ method: "publickey", key: () => issue(config, ports, authority, context) }],
      [Symbol.asyncDispose]: async () => {},
    };
  },
};

/** How to come by the CA's key: read now, or asked of its agent each time. */
export async function openAuthority(
  config: AuthorityConfig,
  ports: CredentialPorts,
): Promise<() => Promise<KeySigner>> {
  const { ca = "", passphrase, socket, key = "", timeoutSeconds } = config;
  if (socket !== undefined) {
    const agent = new AgentSocket({ socket, timeoutMs: timeoutSeconds * 1000, clock: ports.clock });
    return () => openAgentKey(agent, key);
  }
  const read = await readKeyFile(ca, passphrase, ports);
  return async () => read;
}

async function issue(
  config: CertificateConfig,
  { clock, log }: CredentialPorts,
  open: () => Promise<KeySigner>,
  context: CredentialContext,
): Promise<KeySigner> {
  const authority = await open();
  const key = generatePrivateKey("ssh-ed25519");
  const contents = contentsOf(config, context, key.publicKey, Math.floor(clock.now() / 1000));
  const signed = await signCertificate(contents, authority);
  log.info("certificate-issued", {
    session: context.sessionId,
    keyId: contents.keyId,
    serial: String(contents.serial),
    principals: contents.principals,
    validBefore: new Date(Number(contents.validBefore) * 1000).toISOString(),
    key: fingerprint(key.blob),
    ca: fingerprint(authority.publicKey.blob),
  });
  return withCertificate(key, signed);
}

function contentsOf(
  config: CertificateConfig,
  context: CredentialContext,
  key: PublicKey,
  nowSeconds: number,
): CertificateContents {
  const { sourceAddress, forceCommand, validSeconds, clockSkewSeconds } = config;
  const criticalOptions = new Map<string, string>();
  if (sourceAddress !== undefined)
    criticalOptions.set("source-address", sourceAddress.map(({ text }) => text).join(","));
  if (forceCommand !== undefined) criticalOptions.set("force-command", forceCommand);
  return {
    kind: "user",
    key,
    serial: randomBytes(8).readBigUInt64BE(),
    keyId: keyIdOf(context),
    principals: principalsOf(config, context),
    validAfter: BigInt(Math.floor(nowSeconds - clockSkewSeconds)),
    validBefore: BigInt(Math.ceil(nowSeconds + validSeconds)),
    criticalOptions,
    extensions: config.extensions,
  };
}

/** The session stands last and holds no space: a name with spaces in it cannot pose as another session. */
function keyIdOf({ user, sessionId }: CredentialContext): string {
  const person = user.replaceAll(/\p{C}/gu, "?").slice(0, maxPersonCharacters);
  return `${person} session ${sessionId}`;
}

/**
 * Throws DENIED_CERTIFICATE_PRINCIPAL. Names may come from the client: commas separate names in many a place where principals are
 * listed, and control characters end them.
 */
function principalsOf({ principals }: CertificateConfig, context: CredentialContext): string[] {
  const values = { ...context.captures, user: context.user };
  const names = principals?.flatMap((each) => each.expand(values) ?? []) ?? [context.upstreamUser];
  const bad = names.find((name) => name === "" || /[,\p{C}]/u.test(name));
  if (bad !== undefined) throw new credentialErrors.DENIED_CERTIFICATE_PRINCIPAL(JSON.stringify(bad));
  if (names.length === 0) throw new credentialErrors.DENIED_CERTIFICATE_PRINCIPAL("no capture has a value");
  return [...new Set(names)];
}

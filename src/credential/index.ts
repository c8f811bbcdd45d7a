/**
 * credential: how we log in upstream. This door is the list of kinds.
 *
 * Law: offers what the operator listed and nothing else: no agent of the gateway's own account, no default key file. Knows nothing of rules and sessions.
 */
import type { Credential, CredentialKind, CredentialPorts } from "#contract";
import { localAgent, type LocalAgentConfig } from "./local-agent/index.ts";
import { agent, type AgentConfig } from "./agent/index.ts";
import { certificate, type CertificateConfig } from "./certificate/index.ts";
import { clientPassword, type ClientPasswordConfig } from "./client-password/index.ts";
import { key, type KeyConfig } from "./key/index.ts";
import { none, type NoneConfig } from "./none/index.ts";
import { relay, type RelayConfig } from "./relay/index.ts";
import { storedPassword, type StoredPasswordConfig } from "./password/index.ts";

export { AgentSocket, type AgentSocketOptions, openAgentKey } from "./local-agent/index.ts";
export { type AuthorityConfig, authorityFields, checkAuthority, openAuthority } from "./certificate/index.ts";
export { credentialErrors } from "./errors.ts";

export type CredentialConfig =
  | ClientPasswordConfig
  | StoredPasswordConfig
  | KeyConfig
  | AgentConfig
  | LocalAgentConfig
  | CertificateConfig
  | RelayConfig
  | NoneConfig;

export const credentialKinds: readonly [
  CredentialKind<ClientPasswordConfig>,
  CredentialKind<StoredPasswordConfig>,
  CredentialKind<KeyConfig>,
  CredentialKind<CertificateConfig>,
  CredentialKind<AgentConfig>,
  CredentialKind<LocalAgentConfig>,
  CredentialKind<RelayConfig>,
  CredentialKind<NoneConfig>,
] = [clientPassword, storedPassword, key, certificate, agent, localAgent, relay, none];

/** Makes a credential of any kind in the list. */
export async function createCredential(
  config: CredentialConfig,
  ports: CredentialPorts,
): Promise<Credential> {
  switch (config.kind) {
    case "client-password":
      return await clientPassword.create(config, ports);
    case "password":
      return await storedPassword.create(config, ports);
    case "key":
      return await key.create(config, ports);
    case "certificate":
      return await certificate.create(config, ports);
    case "agent":
      return await agent.create(config, ports);
    case "local-agent":
      return await localAgent.create(config, ports);
    case "relay":
      return await relay.create(config, ports);
    case "none":
      return await none.create(config, ports);
  }
}

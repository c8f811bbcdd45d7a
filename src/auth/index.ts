/**
 * auth: how a client proves who it is. This door is the list of kinds.
 *
 * Law: judges one proof at a time; knows no rule, no session, no upstream. Reasons are for the log, never for the client.
 */
import type { AuthKind, AuthMethod, AuthPorts } from "#contract";
import { device, type DeviceLoginConfig } from "./device/index.ts";
import { oidc, type OidcConfig } from "./oidc/index.ts";
import { password, type PasswordConfig } from "./password/index.ts";
import { publickey, type PublicKeyConfig } from "./publickey/index.ts";
import { relay, type RelayConfig } from "./relay/index.ts";
import { totp, type TotpConfig } from "./totp/index.ts";
import { webhook, type WebhookConfig } from "./webhook/index.ts";

export { oidcErrors, providerTitle } from "./oidc/index.ts";
export { hashPassword, parsePasswordHash, type PasswordHash, passwordErrors } from "./password/index.ts";
export { publicKeyErrors } from "./publickey/index.ts";
export { openRevocation } from "./revocation/index.ts";

export { base32, codeAt, otpauthAddress, SpentCodes, totpErrors } from "./totp/index.ts";
export {
  changeUser,
  type NewUser,
  totpField,
  type UserChange,
  Users,
  type UsersConfig,
  usersErrors,
  usersSchema,
} from "./users/index.ts";

export {
  parseAnswer,
  type WebhookAnswer,
  webhookErrors,
  webhookJsonSchema,
  webhookMethods,
} from "./webhook/index.ts";

export type AuthConfig =
  | PasswordConfig
  | PublicKeyConfig
  | TotpConfig
  | RelayConfig
  | OidcConfig
  | WebhookConfig
  | DeviceLoginConfig;

export const authKinds: readonly [
  AuthKind<PasswordConfig>,
  AuthKind<PublicKeyConfig>,
  AuthKind<TotpConfig>,
  AuthKind<RelayConfig>,
  AuthKind<OidcConfig>,
  AuthKind<WebhookConfig>,
  AuthKind<DeviceLoginConfig>,
] = [password, publickey, totp, relay, oidc, webhook, device];

/** Makes a method of any kind in the list. */
export async function createAuthMethod(config: AuthConfig, ports: AuthPorts): Promise<AuthMethod> {
  switch (config.kind) {
    case "password":
      return await password.create(config, ports);
    case "publickey":
      return await publickey.create(config, ports);
    case "relay":
      return await relay.create(config, ports);
    case "oidc":
      return await oidc.create(config, ports);
    case "webhook":
      return await webhook.create(config, ports);
    case "totp":
      return await totp.create(config, ports);
    case "device":
      return await device.create(config, ports);
  }
}

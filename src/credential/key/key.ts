import * as z from "zod";
import { path, type Secret, secret } from "#base";
import type { CredentialKind } from "#contract";
import { readKeyFile } from "../key-file.ts";

const schema = z.strictObject({
  kind: z.literal("key"),
  file: path({ exists: true }).describe(
    "A private key in OpenSSH, PEM or PKCS#8 form; read at start and at reload.",
  ),
  passphrase: secret.optional().describe("Opens the key."),
});

export interface KeyConfig {
  readonly kind: "key";
  readonly file: string;
  readonly passphrase?: Secret | undefined;
}

/** A private key that the operator stored. */
export const key: CredentialKind<KeyConfig> = {
  kind: "key",
  summary: "A stored private key.",
  schema,
  async create({ file, passphrase }, ports) {
    const privateKey = await readKeyFile(file, passphrase, ports);
    return {
      kind: "key",
      needsClientPassword: false,
      ways: async () => [{ method: "publickey", key: privateKey }],
      [Symbol.asyncDispose]: async () => {},
    };
  },
};

import { z } from "zod";
import { path, type Secret, secret } from "#base";
import type { CredentialKind } from "#contract";
import { parsePrivateKey } from "#ssh/keys";
import { credentialErrors } from "../errors.ts";

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

/** A private key is some kilobytes; what is larger is something else. */
const maxKeyFileBytes = 64 * 1024;

/** A private key that the operator stored. */
export const key: CredentialKind<KeyConfig> = {
  kind: "key",
  summary: "A stored private key.",
  schema,
  async create({ file, passphrase }, { files, log }) {
    const read = await files.read(file, maxKeyFileBytes);
    if (read === undefined) throw new credentialErrors.OPERATOR_CREDENTIAL_FILE_MISSING(file);
    // The group may read it: that is how a gateway without privileges comes by it.
    if ((read.mode & 0o007) !== 0) log.warn("private-key-open-to-all", { file });
    const privateKey = await parsePrivateKey(read.bytes, passphrase?.reveal());
    return {
      kind: "key",
      needsClientPassword: false,
      ways: async () => [{ method: "publickey", key: privateKey }],
      [Symbol.asyncDispose]: async () => {},
    };
  },
};

import type { Secret } from "#base";
import type { CredentialPorts } from "#contract";
import { parsePrivateKey, type PrivateKey } from "#ssh/keys";
import { credentialErrors } from "./errors.ts";

/** A private key is some kilobytes; what is larger is something else. */
const maxKeyFileBytes = 64 * 1024;

/** Reads a private key of the operator's. Throws OPERATOR_CREDENTIAL_FILE_MISSING and OPERATOR_KEY_ errors. */
export async function readKeyFile(
  file: string,
  passphrase: Secret | undefined,
  { files, log }: CredentialPorts,
): Promise<PrivateKey> {
  const read = await files.read(file, maxKeyFileBytes);
  if (read === undefined) throw new credentialErrors.OPERATOR_CREDENTIAL_FILE_MISSING(file);
  // The group may read it: that is how a gateway without privileges comes by it.
  if ((read.mode & 0o007) !== 0) log.warn("private-key-open-to-all", { file });
  return await parsePrivateKey(read.bytes, passphrase?.reveal());
}

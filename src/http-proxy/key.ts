import { randomBytes } from "node:crypto";
import { join } from "node:path";
import type { FileUpdater } from "#contract";

const form = /^[0-9a-f]{64}$/;

/**
 * The key that signs tickets, kept in a file: logins outlive a restart, and who removes the file ends them all. Read, or made, when it is
 * first needed. Throws OPERATOR_FILE_UNWRITABLE.
 */
export function ticketKey(files: FileUpdater, stateDir: string): () => Promise<Uint8Array> {
  let key: Promise<Uint8Array> | undefined;
  const read = async (): Promise<Uint8Array> => {
    let found = "";
    await files.update(join(stateDir, "web-tickets.key"), (text) => {
      found = text.trim();
      if (form.test(found)) return undefined;
      found = randomBytes(32).toString("hex");
      return `${found}\n`;
    });
    return Buffer.from(found, "hex");
  };
  return () => {
    key ??= read();
    // The next one may find it.
    key.catch(() => (key = undefined));
    return key;
  };
}

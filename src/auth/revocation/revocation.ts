import { hash } from "node:crypto";
import { type Log, PosternError, Recent } from "#base";
import type { FileReader, Revocation } from "#contract";
import { keyErrors, parseRevocationList, type RevocationList } from "#ssh/keys";

/** A hundred thousand keys; each login reads it. */
const maxListBytes = 4 * 1024 * 1024;

/** A list that has not changed is not parsed again. */
const parsedLists = new Recent<string, RevocationList>(16);

/**
 * Lists of revoked keys: KRLs, and lists as sshd's RevokedKeys takes them. Throws OPERATOR_ errors for one that is of no use now; one
 * that goes bad later keeps everybody out who comes with a key.
 */
export async function openRevocation(
  files: readonly string[],
  ports: { readonly files: FileReader; readonly log: Log },
): Promise<Revocation> {
  for (const file of files) await readList(file, ports);
  return {
    reasonAgainst: async (key) => {
      for (const file of files) {
        let reason: string | undefined;
        try {
          reason = (await readList(file, ports)).reasonAgainst(key);
        } catch (error) {
          if (!(error instanceof PosternError)) throw error;
          ports.log.error("revocation-list-unusable", { file, error });
          reason = "the list of revoked keys cannot be read";
        }
        if (reason !== undefined) return `${file}: ${reason}`;
      }
      return undefined;
    },
  };
}

async function readList(path: string, { files }: { readonly files: FileReader }): Promise<RevocationList> {
  const read = await files.read(path, maxListBytes);
  const unusable = (why: string, cause?: unknown): Error =>
    new keyErrors.OPERATOR_REVOCATION_LIST_INVALID(`${path}: ${why}`, { cause });
  if (read === undefined) throw unusable("there is no such file");
  if ((read.mode & 0o002) !== 0) throw unusable("everybody may write to it");
  try {
    return parsedLists.of(hash("sha256", read.bytes), () => parseRevocationList(read.bytes));
  } catch (error) {
    if (!(error instanceof PosternError)) throw error;
    throw unusable(error.detail ?? error.message, error);
  }
}

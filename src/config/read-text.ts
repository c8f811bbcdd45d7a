import { open } from "node:fs/promises";
import { maxFileBytes } from "./document.ts";

/** The text of a file. Throws an Error whose message is a sentence for the operator, without anything of the file's content. */
export async function readText(path: string, maxBytes: number = maxFileBytes): Promise<string> {
  let bytes: Buffer;
  try {
    await using file = await open(path, "r");
    bytes = Buffer.alloc(maxBytes + 1);
    let length = 0;
    // Files under /proc and pipes tell no size: read until the end, or one byte too many.
    while (length < bytes.length) {
      const { bytesRead } = await file.read(bytes, length, bytes.length - length);
      if (bytesRead === 0) break;
      length += bytesRead;
    }
    bytes = bytes.subarray(0, length);
  } catch (cause) {
    throw new Error(reasonOf(path, cause as NodeJS.ErrnoException), { cause });
  }
  if (bytes.length > maxBytes) throw new Error(`${path} is larger than ${maxBytes / 1024} KiB`);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new Error(`${path} is not text in UTF-8`, { cause });
  }
}

function reasonOf(path: string, error: NodeJS.ErrnoException): string {
  switch (error.code) {
    case "ENOENT":
    case "ENOTDIR":
      return `there is no file ${path}`;
    case "EACCES":
    case "EPERM":
      return `${path} may not be read by this user`;
    case "EISDIR":
      return `${path} is a directory`;
    default:
      return `${path} cannot be read: ${error.message}`;
  }
}

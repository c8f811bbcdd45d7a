import { hash } from "node:crypto";

/** As ssh-keygen -l prints it: "SHA256:" and unpadded base64, over the blob of a plain key. Of a certificate, take `key.blob`. */
export function fingerprint(blob: Uint8Array): string {
  return `SHA256:${hash("sha256", blob, "base64").replace(/=+$/, "")}`;
}

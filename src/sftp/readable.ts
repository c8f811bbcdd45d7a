import { PosternError } from "#base";
import { decodeSftpRequest, type SftpRequest } from "#ssh/sftp";

/** Undefined: it cannot be read. */
export function readable(packet: Uint8Array): SftpRequest | undefined {
  try {
    return decodeSftpRequest(packet);
  } catch (error) {
    if (error instanceof PosternError && error.blame === "PEER") return undefined;
    throw error;
  }
}

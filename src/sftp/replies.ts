import { Buffer } from "node:buffer";
import { encodeSftpReply, FX, FXP, type SftpReply, statusText } from "#ssh/sftp";
import { statusReply } from "./plan.ts";

/** What a status says; whatever else is answered was done. */
export function codeOf(reply: SftpReply): number {
  return reply.kind === "status" ? reply.code : FX.OK;
}

/** Stands for all that say so: nobody looks at the number. */
export const done: SftpReply = statusReply(0, FX.OK);
const success: Buffer = Buffer.from(encodeSftpReply(done));
/** What stands behind the number in a status that says that it was done, as OpenSSH's server has it: without a language. */
const successTail: Buffer = Buffer.concat([success.subarray(9, -6), Buffer.alloc(4)]);

export function isSuccess(packet: Uint8Array): boolean {
  if (packet[0] !== FXP.STATUS || packet.length !== 5 + successTail.length) return false;
  // A score of bytes: a call into the runtime would take longer.
  for (let at = 0; at < successTail.length; at++) if (packet[5 + at] !== successTail[at]) return false;
  return true;
}

/** A status in plain words: a server's own may name what is above the root. Undefined: it is. */
export function plain(reply: SftpReply): SftpReply | undefined {
  if (reply.kind !== "status" || reply.message === statusText(reply.code)) return undefined;
  return statusReply(reply.id, reply.code);
}

export function withLength(packet: Uint8Array): Uint8Array {
  const whole = Buffer.allocUnsafe(packet.length + 4);
  whole.writeUInt32BE(packet.length);
  whole.set(packet, 4);
  return whole;
}

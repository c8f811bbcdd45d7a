import type { Readable, Writable } from "node:stream";
import { PosternError } from "#base";
import { FX, FXF, FXP, maxSftpHandleBytes, maxSftpPacketBytes, sftpVersion } from "#ssh/sftp";
import { Reader, Writer } from "#ssh/wire";
import { gatewayErrors } from "./errors.ts";

/** Asked for at a time: what every server gives. */
const readBytes = 32 * 1024;

/**
 * Reads a file over a channel that speaks SFTP. Undefined: there is no such file. Throws UPSTREAM_FILE_UNREADABLE, also for one that
 * has more than `maxBytes`. The channel is the caller's, and of no use afterwards.
 */
export async function readOverSftp(
  channel: Readable & Writable,
  path: string,
  maxBytes: number,
): Promise<Uint8Array | undefined> {
  const answers = answersOf(channel);
  const ask = async (type: number, id: number | undefined, body: Writer): Promise<Answer> => {
    const head = new Writer().u8(type);
    if (id !== undefined) head.u32(id);
    const payload = head.raw(body.bytes()).bytes();
    channel.write(new Writer().string(payload).bytes());
    const { value, done } = await answers.next();
    if (done === true) throw unreadable(path, "the upstream ended the transfer");
    const reader = new Reader(value);
    const found = reader.u8();
    if (reader.u32() !== id && id !== undefined) throw unreadable(path, "an answer to another question");
    return { type: found, reader };
  };
  try {
    const version = await ask(FXP.INIT, undefined, new Writer().u32(sftpVersion));
    if (version.type !== FXP.VERSION) throw unreadable(path, "the upstream does not speak SFTP");
    const opened = await ask(FXP.OPEN, 1, new Writer().string(path).u32(FXF.READ).u32(0));
    if (opened.type === FXP.STATUS && statusOf(opened).code === FX.NO_SUCH_FILE) return undefined;
    if (opened.type !== FXP.HANDLE) throw unreadable(path, refusal(opened));
    const handle = Uint8Array.from(opened.reader.string());
    if (handle.length > maxSftpHandleBytes) throw unreadable(path, "a handle that is too long");
    const chunks: Uint8Array[] = [];
    let length = 0;
    for (let id = 2; ; id++) {
      const read = new Writer().string(handle).u64(BigInt(length)).u32(readBytes);
      const answer = await ask(FXP.READ, id, read);
      if (answer.type === FXP.STATUS && statusOf(answer).code === FX.EOF) break;
      if (answer.type !== FXP.DATA) throw unreadable(path, refusal(answer));
      const chunk = Uint8Array.from(answer.reader.string());
      if (chunk.length === 0) throw unreadable(path, "an answer without data");
      length += chunk.length;
      if (length > maxBytes) throw unreadable(path, `it has more than ${maxBytes} bytes`);
      chunks.push(chunk);
    }
    return Buffer.concat(chunks);
  } catch (cause) {
    if (!(cause instanceof PosternError) || cause.blame !== "PEER") throw cause;
    throw unreadable(path, cause.message, cause);
  }
}

interface Answer {
  readonly type: number;
  /** Behind the request's number. */
  readonly reader: Reader;
}

function statusOf({ reader }: Answer): { readonly code: number } {
  return { code: reader.u32() };
}

function refusal({ type, reader }: Answer): string {
  if (type !== FXP.STATUS) return `an answer of type ${type}`;
  return `the upstream refused it${reader.left >= 4 ? `: ${reader.text().slice(0, 200)}` : ""}`;
}

/** Whole answers, their lengths taken off. */
async function* answersOf(channel: Readable): AsyncGenerator<Uint8Array, undefined> {
  let waiting: Buffer = Buffer.alloc(0);
  for await (const chunk of channel as AsyncIterable<Buffer>) {
    waiting = Buffer.concat([waiting, chunk]);
    while (waiting.length >= 4) {
      const length = waiting.readUInt32BE(0);
      if (length < 5 || length > maxSftpPacketBytes)
        throw new gatewayErrors.UPSTREAM_FILE_UNREADABLE(`an answer of ${length} bytes`);
      if (waiting.length < 4 + length) break;
      yield waiting.subarray(4, 4 + length);
      waiting = waiting.subarray(4 + length);
    }
  }
  return undefined;
}

function unreadable(path: string, why: string, cause?: unknown): Error {
  return new gatewayErrors.UPSTREAM_FILE_UNREADABLE(`${path}: ${why}`, { cause });
}

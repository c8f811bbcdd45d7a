/**
 * OpenSSH's own requests and channels (its PROTOCOL file, section 2): the `data` behind the common fields, as in requests.ts.
 * "eow@openssh.com", "no-more-sessions@openssh.com" and "keepalive@openssh.com" have none.
 */
import { Reader, Writer } from "#ssh/wire";

/** "streamlocal-forward@openssh.com" and "cancel-streamlocal-forward@openssh.com": the socket's path, as bytes. */
export function encodeStreamlocalForward(path: Uint8Array | string): Uint8Array {
  return new Writer().string(path).bytes();
}

export function decodeStreamlocalForward(data: Uint8Array): Uint8Array {
  const reader = new Reader(data);
  const path = Uint8Array.from(reader.string());
  reader.expectEnd();
  return path;
}

/** "direct-streamlocal@openssh.com" channels: the path to connect to, then two reserved fields. */
export function encodeDirectStreamlocal(path: Uint8Array | string): Uint8Array {
  return new Writer().string(path).string("").u32(0).bytes();
}

export function decodeDirectStreamlocal(data: Uint8Array): Uint8Array {
  const reader = new Reader(data);
  const path = Uint8Array.from(reader.string());
  reader.string();
  reader.u32();
  reader.expectEnd();
  return path;
}

/** "forwarded-streamlocal@openssh.com" channels: the path that was bound, then a reserved field. */
export function encodeForwardedStreamlocal(path: Uint8Array | string): Uint8Array {
  return new Writer().string(path).string("").bytes();
}

export function decodeForwardedStreamlocal(data: Uint8Array): Uint8Array {
  const reader = new Reader(data);
  const path = Uint8Array.from(reader.string());
  reader.string();
  reader.expectEnd();
  return path;
}

/** "tun@openssh.com" channels. Mode 1 carries IP packets, 2 Ethernet frames; unit 0x7fffffff leaves the choice to the server. */
export interface TunnelChannel {
  readonly mode: number;
  readonly unit: number;
}

export function encodeTunnelChannel(channel: TunnelChannel): Uint8Array {
  return new Writer(8).u32(channel.mode).u32(channel.unit).bytes();
}

export function decodeTunnelChannel(data: Uint8Array): TunnelChannel {
  const reader = new Reader(data);
  const channel = { mode: reader.u32(), unit: reader.u32() };
  reader.expectEnd();
  return channel;
}

/**
 * "hostkeys-00@openssh.com", and "hostkeys-prove-00@openssh.com" with its answer: byte strings up to the end (key blobs, and
 * for the answer signature blobs).
 */
export function encodeHostKeys(blobs: readonly Uint8Array[]): Uint8Array {
  const writer = new Writer();
  for (const blob of blobs) writer.string(blob);
  return writer.bytes();
}

export function decodeHostKeys(data: Uint8Array): Uint8Array[] {
  const reader = new Reader(data);
  const blobs: Uint8Array[] = [];
  while (reader.left > 0) blobs.push(Uint8Array.from(reader.string()));
  return blobs;
}

import { type Bytes, type FileAttrs, type NameEntry, S_IFDIR } from "#ssh/sftp";
import { Writer } from "#ssh/wire";
import type { VirtualFolder } from "./mount-paths.ts";

/** What is told of a folder that is on no host: everybody may look, nobody may change it. */
export function virtualAttrs({ mount }: VirtualFolder, seconds: number): FileAttrs {
  // What may be done at the place of a mount is for its host to say.
  const permissions = S_IFDIR | (mount === undefined ? 0o555 : 0o755);
  return {
    size: 0n,
    owner: { uid: 0, gid: 0 },
    permissions,
    times: { atime: seconds, mtime: seconds },
  };
}

/** A virtual folder's listing, whole. */
export function virtualEntries(
  folder: VirtualFolder,
  children: readonly VirtualFolder[],
  seconds: number,
): NameEntry[] {
  const entry = (name: Bytes, shown: VirtualFolder): NameEntry => ({
    name,
    longname: longName(name, shown, seconds),
    attrs: virtualAttrs(shown, seconds),
  });
  return [
    entry(".", folder),
    entry("..", folder.parent ?? folder),
    ...children.map((child) => entry(child.path.slice(child.path.lastIndexOf("/") + 1), child)),
  ];
}

/** As `ls -l` would show it. */
function longName(name: Bytes, { mount }: VirtualFolder, seconds: number): Bytes {
  const mode = mount === undefined ? "dr-xr-xr-x" : "drwxr-xr-x";
  // `Sat, 21 Nov 2026 18:00:00 GMT`
  const [, day = "", month = "", , time = ""] = new Date(seconds * 1000).toUTCString().split(" ");
  return `${mode}    1 0        0               0 ${month} ${day} ${time.slice(0, 5)} ${name}`;
}

/** Of a file system that is none: no blocks, nothing free, not to be written (PROTOCOL of OpenSSH, section 4.5). */
export function virtualStatvfs(): Uint8Array {
  const writer = new Writer(88);
  const blockBytes = 4096n;
  const readOnly = 1n;
  const longestName = 255n;
  for (const value of [blockBytes, blockBytes, 0n, 0n, 0n, 0n, 0n, 0n, 0n, readOnly, longestName])
    writer.u64(value);
  return writer.bytes();
}

/** What every server of SFTP takes (draft-ietf-secsh-filexfer-02, section 3), so the least that all of several can. */
const leastData = 32 * 1024;
const leastPacket = 34_000;

/** The answer to `limits` before it is known which hosts will be asked for what (PROTOCOL of OpenSSH, section 4.8). */
export function leastLimits(maxHandles: number): Uint8Array {
  const writer = new Writer(32);
  for (const value of [leastPacket, leastData, leastData, maxHandles]) writer.u64(BigInt(value));
  return writer.bytes();
}

import { type Reader, type Writer, wireErrors } from "#ssh/wire";
import { S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } from "./numbers.ts";

const flagSize = 0x0000_0001;
const flagOwner = 0x0000_0002;
const flagPermissions = 0x0000_0004;
const flagTimes = 0x0000_0008;
const flagExtended = 0x8000_0000;

/** Attributes of a file (draft-ietf-secsh-filexfer-02, section 5): what is absent is not said. */
export interface FileAttrs {
  readonly size?: bigint;
  readonly owner?: { readonly uid: number; readonly gid: number };
  /** With the bits that tell the kind of file, if a server sends them. */
  readonly permissions?: number;
  /** Seconds since 1970. */
  readonly times?: { readonly atime: number; readonly mtime: number };
  /** Pairs that are not known here, as they came: type, data. */
  readonly extended?: readonly (readonly [Uint8Array, Uint8Array])[];
}

/** Pairs of extended attributes that one file may have; servers in use send none. */
export const maxExtendedAttrs: number = 64;

export function readAttrs(reader: Reader): FileAttrs {
  const flags = reader.u32();
  // Property by property: thousands of these are read in a second.
  const attrs: { -readonly [Key in keyof FileAttrs]: FileAttrs[Key] } = {};
  if ((flags & flagSize) !== 0) attrs.size = reader.u64();
  if ((flags & flagOwner) !== 0) attrs.owner = { uid: reader.u32(), gid: reader.u32() };
  if ((flags & flagPermissions) !== 0) attrs.permissions = reader.u32();
  if ((flags & flagTimes) !== 0) attrs.times = { atime: reader.u32(), mtime: reader.u32() };
  if ((flags & flagExtended) !== 0) attrs.extended = readExtended(reader);
  return attrs;
}

function readExtended(reader: Reader): (readonly [Uint8Array, Uint8Array])[] {
  const count = reader.u32();
  if (count > maxExtendedAttrs) throw new wireErrors.PEER_FIELD_INVALID(`${count} extended attributes`);
  return Array.from(
    { length: count },
    () => [Uint8Array.from(reader.string()), Uint8Array.from(reader.string())] as const,
  );
}

export function writeAttrs(writer: Writer, attrs: FileAttrs): Writer {
  const { size, owner, permissions, times, extended } = attrs;
  let flags = 0;
  if (size !== undefined) flags += flagSize;
  if (owner !== undefined) flags += flagOwner;
  if (permissions !== undefined) flags += flagPermissions;
  if (times !== undefined) flags += flagTimes;
  if (extended !== undefined) flags += flagExtended;
  writer.u32(flags);
  if (size !== undefined) writer.u64(size);
  if (owner !== undefined) writer.u32(owner.uid).u32(owner.gid);
  if (permissions !== undefined) writer.u32(permissions);
  if (times !== undefined) writer.u32(times.atime).u32(times.mtime);
  if (extended !== undefined) {
    writer.u32(extended.length);
    for (const [type, data] of extended) writer.string(type).string(data);
  }
  return writer;
}

export type FileKind = "directory" | "file" | "link" | "other";

/** What kind of file it is; undefined if the attributes do not tell. */
export function kindOf({ permissions }: FileAttrs): FileKind | undefined {
  if (permissions === undefined || (permissions & S_IFMT) === 0) return undefined;
  switch (permissions & S_IFMT) {
    case S_IFDIR:
      return "directory";
    case S_IFREG:
      return "file";
    case S_IFLNK:
      return "link";
    default:
      return "other";
  }
}

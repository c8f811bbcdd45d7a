/**
 * sftp: what one SFTP channel may do with files, and the record of what it did.
 *
 * Law: bytes in, bytes out; knows packets, paths and rights, never a channel number, a window or a socket. Whoever is confined is
 * answered here, or asks the upstream for a path without links, looked at just before; what is opened before it is looked at, nobody
 * has until it was (ADR 12).
 */
export type { Usage } from "./open-files.ts";
export type { MountEnd, MountWay } from "./mount-leg.ts";
export { MountPaths, mountClash } from "./mount-paths.ts";
export { type Mount, MountedSftp } from "./mounted.ts";
export { PathLocks } from "./locks.ts";
export { type FileRules, fileRulesFor, fillRoot } from "./rules.ts";
export { ScpWatch } from "./scp.ts";
export { Recorder, tellMs } from "./record.ts";
export { type SymlinkOrder, symlinkOrder } from "./symlinks.ts";
export { type SftpPorts, SftpSession } from "./session.ts";

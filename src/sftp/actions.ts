import type { FileAction } from "#contract";
import { type Bytes, bytesOf, type SftpRequest } from "#ssh/sftp";

/** Paths that a request names, for the audit. */
export function pathsIn(request: SftpRequest): [path: Bytes, to?: Bytes] {
  if ("path" in request) return [request.path];
  switch (request.kind) {
    case "rename":
    case "posix-rename":
    case "hardlink":
      return [request.from, request.to];
    case "symlink":
      return [request.link, request.target];
    case "home-directory":
      return [request.user];
    case "other":
      return [bytesOf(`(${request.name === "" ? `type ${request.type}` : request.name})`)];
    default:
      return [""];
  }
}

/** Whether another's path could lead elsewhere by it: then it is alone while it looks and acts. */
export function changesPaths({ kind }: SftpRequest): boolean {
  return kind === "rename" || kind === "posix-rename" || kind === "symlink" || kind === "hardlink";
}

const actions: Readonly<Partial<Record<SftpRequest["kind"], FileAction>>> = {
  open: "open",
  opendir: "list",
  readdir: "list",
  read: "read",
  write: "write",
  setstat: "attributes",
  fsetstat: "attributes",
  lsetstat: "attributes",
  mkdir: "mkdir",
  remove: "remove",
  rmdir: "rmdir",
  rename: "rename",
  "posix-rename": "rename",
  symlink: "symlink",
  hardlink: "hardlink",
  "copy-data": "copy",
};

export function actionOf({ kind }: SftpRequest): FileAction {
  return actions[kind] ?? "look";
}

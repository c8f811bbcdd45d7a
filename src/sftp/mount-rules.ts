import type { Auditor } from "#contract";
import { type Bytes, shownPath } from "#ssh/sftp";
import type { FileRules } from "./rules.ts";

/** A path in a mount, as the client sees it in the whole tree. */
export function inTree(at: Bytes, path: Bytes): Bytes {
  return path === "/" ? at : `${at}${path}`;
}

/** What holds in a mount: what both the whole tree's rules and its own allow. */
export function rulesInMount(tree: FileRules, own: FileRules, at: Bytes): FileRules {
  const sizes = [tree.maxFileBytes, own.maxFileBytes].filter((each) => each !== undefined);
  return {
    // The record, and what a session may read and write, are for all.
    ...tree,
    root: own.root ?? ".",
    confining: true,
    maxFileBytes: sizes.length === 0 ? undefined : Math.min(...sizes),
    rights: (path) => {
      const rights = own.rights(path);
      const above = tree.rights(inTree(at, path));
      return new Set([...rights].filter((right) => above.has(right)));
    },
    hidden: (path) => own.hidden(path) || tree.hidden(inTree(at, path)),
    fitsExtensions: (path) => own.fitsExtensions(path) && tree.fitsExtensions(path),
    bindsPlace: (path) => own.bindsPlace(path) || tree.bindsPlace(inTree(at, path)),
  };
}

/** Tells of what is done in a mount: paths as they are in the whole tree, and which host it was. */
export function auditInMount(
  audit: Auditor | undefined,
  at: Bytes,
  upstream: string | undefined,
): Auditor | undefined {
  if (audit === undefined) return undefined;
  const mount = shownPath(at);
  const shown = (path: string): string => (path.startsWith("/") ? inTree(mount, path) : path);
  return (event) => {
    switch (event.event) {
      case "file-open":
      case "file-close":
      case "file-list":
        audit({ ...event, path: shown(event.path), mount, upstream });
        return;
      case "file-change":
      case "file-refused":
        audit({
          ...event,
          path: shown(event.path),
          ...(event.to === undefined ? {} : { to: shown(event.to) }),
          mount,
          upstream,
        });
        return;
      default:
        audit(event);
    }
  };
}

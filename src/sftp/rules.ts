import { type Captures, Pattern, type Template } from "#base";
import type { FileRight, SftpPlan } from "#contract";
import { type Bytes, bytesOf } from "#ssh/sftp";
import { sftpRoomErrors } from "./errors.ts";
import { componentsOf, joined } from "./paths.ts";

/** What holds for the files of one session: a rule's plan, its root filled in. */
export interface FileRules {
  /** As configured: maybe relative to the home, maybe with links. Absent: the whole tree. */
  readonly root: Bytes | undefined;
  /** Whether anything is refused; else SFTP is only watched. */
  readonly confining: boolean;
  readonly record: boolean;
  readonly hash: boolean;
  readonly maxFileBytes: number | undefined;
  readonly maxSessionBytes: number | undefined;
  /** Of a path as the client sees it, without links. */
  rights(path: Bytes): ReadonlySet<FileRight>;
  hidden(path: Bytes): boolean;
  /** Whether a file of this name may be written. */
  fitsExtensions(path: Bytes): boolean;
  /** Whether some rights or hidden names are bound to a place at, above or below this folder: moving it would move them. */
  bindsPlace(path: Bytes): boolean;
}

/**
 * The root for one session; undefined if what the client's name brings would lead elsewhere: a slash, a dot alone, nothing at all.
 */
export function fillRoot(root: Template, captures: Captures): string | undefined {
  for (const name of root.names) {
    const value = captures[name];
    // Of both kinds: which the host takes is not known yet.
    if (value === undefined || value === "" || /[/\\\0]/.test(value)) return undefined;
  }
  const filled = root.expand(captures);
  if (filled === undefined) return undefined;
  return filled.split("/").some((name) => name === "." || name === "..") ? undefined : filled;
}

/** Throws DENIED_SFTP_ROOT. */
export function fileRulesFor(plan: SftpPlan, captures: Captures): FileRules {
  const root = plan.root === undefined ? undefined : fillRoot(plan.root, captures);
  if (plan.root !== undefined && root === undefined)
    throw new sftpRoomErrors.DENIED_SFTP_ROOT(`"${plan.root.text}"`);
  return fileRulesOf(plan, root);
}

export function fileRulesOf(plan: SftpPlan, root: string | undefined): FileRules {
  const paths = plan.paths.map(({ path, rights }) => ({ fits: placePattern(path), rights: new Set(rights) }));
  const hide = plan.hide.map(placePattern);
  const rights = new Set(plan.rights);
  const endings = plan.extensions?.map((ending) => bytesOf(ending).toLowerCase());
  const bound = [...plan.paths.map(({ path }) => path), ...plan.hide]
    .filter((pattern) => pattern.startsWith("/"))
    .map(literalPart);
  return {
    root: root === undefined ? undefined : bytesOf(root),
    confining: plan.confining,
    record: plan.record,
    hash: plan.hash,
    maxFileBytes: plan.maxFileBytes,
    maxSessionBytes: plan.maxSessionBytes,
    rights:
      paths.length === 0 ? () => rights : (path) => paths.find(({ fits }) => fits(path))?.rights ?? rights,
    hidden: hide.length === 0 ? () => false : (path) => hide.some((fits) => fits(path)),
    fitsExtensions:
      endings === undefined
        ? () => true
        : (path) => endings.some((ending) => path.toLowerCase().endsWith(ending)),
    bindsPlace: (path) => {
      const names = componentsOf(path);
      return bound.some((place) => {
        const shorter = Math.min(names.length, place.length);
        return names.slice(0, shorter).every((name, at) => name === place[at]);
      });
    },
  };
}

/** The names before the first with a wildcard. */
function literalPart(pattern: string): string[] {
  const names = componentsOf(bytesOf(pattern));
  const wild = names.findIndex((name) => /[*?]/.test(name));
  return wild < 0 ? names : names.slice(0, wild);
}

/**
 * Fits a path as the client sees it, or a folder that it lies in. With a slash in front the pattern is for the whole path, else for
 * one name anywhere. `*` and `?` stay within a name, `**` does not.
 */
export function placePattern(pattern: string): (path: Bytes) => boolean {
  const anchored = pattern.startsWith("/");
  const names = componentsOf(bytesOf(pattern));
  const expression = new Pattern(`(?s)${names.map(nameExpression).join("/")}`);
  return (path) => {
    const parts = componentsOf(path);
    if (!anchored) return parts.some((name) => expression.match(name) !== undefined);
    if (names.length === 0) return true;
    return parts.some((_, at) => expression.match(joined(parts.slice(0, at + 1)).slice(1)) !== undefined);
  };
}

function nameExpression(name: string): string {
  return name
    .split(/(\*\*|\*|\?)/)
    .map((part) => {
      if (part === "**") return ".*";
      if (part === "*") return "[^/]*";
      if (part === "?") return "[^/]";
      return part.replace(/[\\^$.|?*+()[\]{}]/g, "\\$&");
    })
    .join("");
}

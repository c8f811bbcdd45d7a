import type { Clock } from "#base";
import { type Bytes, FX, kindOf } from "#ssh/sftp";
import type { Tree } from "./find.ts";
import { Known } from "./known.ts";
import { below, componentsOf } from "./paths.ts";
import type { Plan } from "./plan.ts";
import { sftpRoomErrors } from "./errors.ts";
import type { FileRules } from "./rules.ts";

/** Asks the upstream where the root is, before anything else. Throws UPSTREAM_SFTP_ROOT. */
export function* plantTree(rules: FileRules, clock: Pick<Clock, "monotonic">): Plan<Tree> {
  const asked: Bytes = rules.root ?? ".";
  const [reply] = yield { ask: [{ kind: "realpath", path: asked }] };
  const told = reply?.kind === "name" ? reply.entries[0]?.name : undefined;
  if (told?.startsWith("/") !== true) throw new sftpRoomErrors.UPSTREAM_SFTP_ROOT("it has no absolute path");
  const names = componentsOf(told);
  const common = { known: new Known(clock), hidden: (path: Bytes) => rules.hidden(path) };
  if (names.includes("..")) throw new sftpRoomErrors.UPSTREAM_SFTP_ROOT("its path is not plain");
  if (rules.root === undefined) return { root: "/", rootNames: [[]], home: names, ...common };
  const root = below("/", names);
  const [seen] = yield { ask: [{ kind: "stat", path: root }] };
  if (seen?.kind === "status" && seen.code === FX.NO_SUCH_FILE)
    throw new sftpRoomErrors.UPSTREAM_SFTP_ROOT("it is not there");
  if (seen?.kind !== "attrs" || kindOf(seen.attrs) !== "directory")
    throw new sftpRoomErrors.UPSTREAM_SFTP_ROOT("it is no folder");
  const configured = rules.root.startsWith("/") ? [componentsOf(rules.root)] : [];
  return { root, rootNames: [names, ...configured], home: [], ...common };
}

import type { Clock } from "#base";
import { type Bytes, FX, kindOf } from "#ssh/sftp";
import type { Tree } from "./find.ts";
import { Known } from "./known.ts";
import { below, componentsOf } from "./paths.ts";
import { type Plan, realpathIn } from "./plan.ts";
import { sftpRoomErrors } from "./errors.ts";
import type { FileRules } from "./rules.ts";

/** A link on every Linux, to a folder whose name is a number: whoever resolves links tells another path than this. */
const knownLink: Bytes = "/proc/self";

/** Asks the upstream where the root is, before anything else. Throws UPSTREAM_SFTP_ROOT. */
export function* plantTree(rules: FileRules, clock: Pick<Clock, "monotonic">): Plan<Tree> {
  const asked: Bytes = rules.root ?? ".";
  const [reply, link] = yield {
    ask: [
      { kind: "realpath", path: asked },
      { kind: "realpath", path: knownLink },
    ],
  };
  const told = realpathIn(reply);
  if (told?.startsWith("/") !== true) throw new sftpRoomErrors.UPSTREAM_SFTP_ROOT("it has no absolute path");
  const names = componentsOf(told);
  const known = new Known(clock);
  known.resolving = /^\/proc\/\d+$/.test(realpathIn(link) ?? "");
  const common = { known, hidden: (path: Bytes) => rules.hidden(path) };
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

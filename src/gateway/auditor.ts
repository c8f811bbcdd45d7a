import type { Clock } from "#base";
import type { Auditor } from "#contract";
import type { World } from "./world.ts";

/** The audit of one session: each event with what all have in common. The user name is the last that the client gave. */
export function auditorOf(
  id: string,
  clock: Clock,
  { audit, router }: Pick<World, "audit" | "router">,
): Auditor | undefined {
  if (audit === undefined) return undefined;
  let known: string | undefined;
  let timeMs = Number.NaN;
  let time = "";
  return router.shown.audit((event, atMs = clock.now()) => {
    known = event.user ?? known;
    if (atMs !== timeMs) time = new Date((timeMs = atMs)).toISOString();
    // What comes first in the line. No copy of the event without some of it: files come by the thousand.
    const first = { time, session: id, event: event.event, user: known };
    audit.write(Object.assign(first, event, { user: known }));
  });
}

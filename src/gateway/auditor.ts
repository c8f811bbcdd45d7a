import type { Clock } from "#base";
import type { Auditor, AuditRecord } from "#contract";
import type { World } from "./world.ts";

/** The audit of one session: each event with what all have in common. The user name is the last that the client gave. */
export function auditorOf(
  id: string,
  clock: Clock,
  { audit, router }: Pick<World, "audit" | "router">,
): Auditor | undefined {
  if (audit === undefined) return undefined;
  let known: string | undefined;
  return router.shown.audit(({ event, user, ...fields }) => {
    known = user ?? known;
    const time = new Date(clock.now()).toISOString();
    audit.write({ time, session: id, event, user: known, ...fields } as AuditRecord);
  });
}

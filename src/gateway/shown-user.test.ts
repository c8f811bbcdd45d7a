import assert from "node:assert/strict";
import { test } from "node:test";
import { type Log, Pattern, silentLog } from "#base";
import type { AuditEvent } from "#contract";
import { ShownUsers } from "./shown-user.ts";

const token = "s3cr3t";

function shownBy(...sources: readonly string[]): ShownUsers {
  return new ShownUsers(sources.map((source) => ({ match: { userPattern: new Pattern(source) } })));
}

test("a join token in a user name is in no log, audit or list", () => {
  const shown = shownBy("web[0-9]+", "device|join\\+(?<token>[a-z0-9]+)");
  assert.equal(shown.of(`join+${token}`), "join+…");
  for (const plain of ["device", "ada", "web1", "join+"]) assert.equal(shown.of(plain), plain);
  const lines: unknown[] = [];
  const write = (event: string, fields: unknown): void => void lines.push([event, fields]);
  const inner: Log = { ...silentLog, info: write, warn: write, child: () => inner };
  const log = shown.log(inner);
  log.info("a", { user: `join+${token}`, more: 1 });
  log.child({ session: "x" }).warn("b", { user: `join+${token}` });
  log.info("c");
  shown.audit((event: AuditEvent) => void lines.push(event))?.({
    event: "connection",
    user: `join+${token}`,
    from: "192.0.2.1",
    via: "ssh",
  });
  assert.equal(lines.length, 4);
  assert.ok(!JSON.stringify(lines).includes(token), JSON.stringify(lines));
});

test("without such a pattern nothing is wrapped", () => {
  const shown = shownBy("web[0-9]+");
  assert.equal(shown.log(silentLog), silentLog);
});

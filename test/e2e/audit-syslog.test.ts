/** The audit at a real syslog server: rsyslog reads each message as RFC 5424 has it, over both transports. */
import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import type { AuditRecord } from "#contract";
import { auditLines } from "#test/support/audit-lines";
import { Child } from "#test/support/child";
import { freePort } from "#test/support/ports";
import { runSsh } from "#test/support/ssh";
import { missing, stranger } from "#test/support/strangers";
import { tempDir } from "#test/support/temp-dir";
import { until } from "#test/support/waiting";
import { keyRule, startWorld } from "#test/support/world";

const skip = missing("ssh", "sshd", "rsyslogd");

interface Told {
  readonly facility: string;
  readonly severity: string;
  readonly program: string;
  /** The event's name. */
  readonly message: string;
  readonly record: AuditRecord;
}

test("rsyslog has each event once, by UDP and by TCP, with facility, severity and name", {
  skip,
}, async () => {
  await using folder = await tempDir();
  const [udp, tcp] = [await freePort(), await freePort()];
  const conf = folder.at("rsyslog.conf");
  const form = "%syslogfacility-text% %syslogseverity-text% %app-name% %msgid% %msg%\\n";
  const rule = (name: string): string =>
    `ruleset(name="${name}") { action(type="omfile" file="${folder.at(name)}" template="form") }`;
  writeFileSync(
    conf,
    [
      `global(workDirectory="${folder.path}" maxMessageSize="64k")`,
      `template(name="form" type="string" string="${form}")`,
      'module(load="imudp")',
      'module(load="imtcp")',
      rule("udp"),
      rule("tcp"),
      `input(type="imudp" address="127.0.0.1" port="${udp}" ruleset="udp")`,
      `input(type="imtcp" address="127.0.0.1" port="${tcp}" ruleset="tcp")`,
      "",
    ].join("\n"),
  );
  await using server = new Child(stranger("rsyslogd"), ["-n", "-f", conf, "-i", folder.at("pid")]);
  await until("rsyslog's pid file", () => existsSync(folder.at("pid")));
  const sink = (protocol: string, port: number): object => ({
    kind: "syslog",
    server: `127.0.0.1:${port}`,
    protocol,
    facility: "authpriv",
  });
  await using world = await startWorld({
    config: { audit: [sink("udp", udp), sink("tcp", tcp), { kind: "jsonl", file: "audit.jsonl" }] },
    rules: (parts) => [keyRule(parts, "ada", { policy: { exec: ["echo *"] } })],
  });
  const told = (name: string): Told[] =>
    existsSync(folder.at(name))
      ? readFileSync(folder.at(name), "utf8")
          .split("\n")
          .filter((line) => line !== "")
          .map((line) => {
            const [, facility = "", severity = "", program = "", message = "", text = ""] =
              /^(\S+) (\S+) (\S+) (\S+) +(\{.*\})$/.exec(line) ?? assert.fail(line);
            return { facility, severity, program, message, record: JSON.parse(text) as AuditRecord };
          })
      : [];
  const ended = (name: string): boolean => told(name).some(({ message }) => message === "end");
  // UDP tells nobody whether the server was there already.
  await until("the server to listen", async () => {
    await runSsh(world.gateway.target("nobody", world.identity.path), ["true"]);
    return ended("udp") && ended("tcp");
  });
  const target = world.gateway.target("ada", world.identity.path);
  assert.equal((await runSsh(target, ["echo ö"])).stdout.toString(), "ö\n");
  assert.match((await runSsh(target, ["id"])).stderr, /not allowed here/);
  const ofAda = (records: readonly AuditRecord[]): AuditRecord[] => {
    const sessions = records.filter(({ user }) => user === "ada").map(({ session }) => session);
    return records.filter(({ session }) => sessions.includes(session));
  };
  const kept = (): AuditRecord[] => ofAda(auditLines(world.gateway.folder.at("audit.jsonl")));
  const ends = (records: readonly AuditRecord[]): number =>
    records.filter(({ event }) => event === "end").length;
  for (const name of ["udp", "tcp"]) {
    const records = (): AuditRecord[] => ofAda(told(name).map(({ record }) => record));
    await until(`both sessions by ${name}`, () => ends(records()) === 2 && ends(kept()) === 2);
    assert.deepEqual(records(), kept(), name);
    for (const { facility, severity, program, message, record } of told(name)) {
      const bad = "outcome" in record && ["refused", "failed"].includes(record.outcome);
      assert.deepEqual(
        [facility, severity, program, message],
        ["authpriv", bad ? "notice" : "info", "postern", record.event],
      );
    }
  }
  assert.ok(server.running);
});

import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { readFileSync, renameSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { test } from "node:test";
import { silentLog, systemClock } from "#base";
import { auditCommonFields, auditEvents, type AuditRecord } from "#contract";
import { tempDir } from "#test/support/temp-dir";
import { until } from "#test/support/waiting";
import { auditJsonSchema, auditPage } from "./docs.ts";
import { auditLineText, createAuditSink, parseAuditLine, passesFilter } from "./index.ts";

const ports = { clock: systemClock, log: silentLog };
const record = (
  session: string,
  user: string,
  outcome: "accepted" | "refused" = "accepted",
): AuditRecord => ({
  time: "2026-03-01T12:00:00.000Z",
  session,
  event: "auth",
  user,
  method: "password",
  outcome,
});

test("jsonl: a line for each event, added to what is there; opened anew after a rotation", async () => {
  await using folder = await tempDir();
  const file = folder.at("audit.jsonl");
  const lines = (path: string): string[] =>
    readFileSync(path, "utf8")
      .trimEnd()
      .split("\n")
      .map((line) => parseAuditLine(line)?.session ?? "?");
  for (const session of ["a", "b"]) {
    await using sink = await createAuditSink({ kind: "jsonl", file }, ports);
    sink.write(record(session, "ada"));
  }
  assert.deepEqual(lines(file), ["a", "b"]);
  await using sink = await createAuditSink({ kind: "jsonl", file }, ports);
  sink.write(record("c", "ada"));
  await until("the line", () => lines(file).includes("c"));
  renameSync(file, `${file}.1`);
  sink.reopen();
  sink.write(record("d", "ada"));
  await until("the new file", () => readFileSync(file, "utf8") !== "");
  assert.deepEqual(lines(file), ["d"]);
  assert.deepEqual(lines(`${file}.1`), ["a", "b", "c"]);
});

test("jsonl: a place where nothing can be written is said before anything starts", async () => {
  await assert.rejects(createAuditSink({ kind: "jsonl", file: "/nowhere/at/all" }, ports), {
    code: "OPERATOR_AUDIT_UNWRITABLE",
  });
});

const rfc5424 = /^<(\d+)>1 2026-03-01T12:00:00\.000Z \S+ postern \d+ auth - (\{.*\})$/s;

test("syslog over UDP: RFC 5424, refusals as notices", async () => {
  const server = createSocket("udp4");
  const seen: string[] = [];
  server.on("message", (message) => seen.push(message.toString()));
  await new Promise<void>((resolve) => server.bind(0, "127.0.0.1", resolve));
  {
    await using sink = await createAuditSink(
      { kind: "syslog", server: `127.0.0.1:${server.address().port}`, protocol: "udp", facility: "local3" },
      ports,
    );
    sink.write(record("a", "ada"));
    sink.write(record("b", "ada", "refused"));
    await until("two messages", () => seen.length === 2);
  }
  server.close();
  const parsed = seen.map((text) => rfc5424.exec(text));
  assert.deepEqual(
    parsed.map((found) => [found?.[1], parseAuditLine(found?.[2] ?? "")?.session]),
    [
      ["158", "a"],
      ["157", "b"],
    ],
  );
});

test("syslog over TCP: each message with its length; a server that comes late gets what waited", async () => {
  let bytes = Buffer.alloc(0);
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on("data", (chunk: Buffer) => (bytes = Buffer.concat([bytes, chunk])));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  assert.ok(typeof address === "object" && address !== null);
  {
    await using sink = await createAuditSink(
      { kind: "syslog", server: `127.0.0.1:${address.port}`, protocol: "tcp", facility: "authpriv" },
      ports,
    );
    // Not connected yet: these wait.
    sink.write(record("a", "ada"));
    sink.write(record("b", "adä"));
    await until("both", () => bytes.includes("adä"));
    sink.write(record("c", "ada"));
  }
  await until("the last, sent before the end", () => bytes.includes('"c"'));
  for (const socket of sockets) socket.destroy();
  server.close();
  const sessions: unknown[] = [];
  for (let at = 0; at < bytes.length; ) {
    const space = bytes.indexOf(" ", at);
    const end = space + 1 + Number(bytes.subarray(at, space).toString());
    sessions.push(
      parseAuditLine(rfc5424.exec(bytes.subarray(space + 1, end).toString())?.[2] ?? "")?.session,
    );
    at = end;
  }
  assert.deepEqual(sessions, ["a", "b", "c"]);
});

test("lines are found by session, user, event, outcome and time", () => {
  const one = record("a", "ada", "refused");
  const cases = [
    [{}, true],
    [{ session: "a" }, true],
    [{ session: "b" }, false],
    [{ user: "ada" }, true],
    [{ user: "ad" }, false],
    [{ events: ["end", "auth"] }, true],
    [{ events: ["end"] }, false],
    [{ refused: true }, true],
    [{ sinceMs: Date.parse(one.time) }, true],
    [{ sinceMs: Date.parse(one.time) + 1 }, false],
    [{ untilMs: Date.parse(one.time) }, false],
    [{ untilMs: Date.parse(one.time) + 1 }, true],
    [{ session: "a", user: "bob" }, false],
  ] as const;
  for (const [filter, passes] of cases)
    assert.equal(passesFilter(one, filter), passes, JSON.stringify(filter));
  assert.equal(passesFilter(record("a", "ada"), { refused: true }), false);
});

test("half a line, and lines of something else, are no records", () => {
  const whole = JSON.stringify(record("a", "ada"));
  assert.equal(parseAuditLine(whole)?.user, "ada");
  for (let length = 0; length < whole.length; length++)
    assert.equal(parseAuditLine(whole.slice(0, length)), undefined);
  for (const line of ["null", "[]", "1", '{"time":1}', "{}"]) assert.equal(parseAuditLine(line), undefined);
});

test("what is shown to people cannot move their cursor", () => {
  const text = auditLineText({ ...record("a", "a\u001b[2Jb\nc\u202e\u009b"), session: "x\u001b" });
  // oxlint-disable-next-line no-control-regex
  assert.doesNotMatch(text, /[\u0000-\u001f\u007f-\u009f\u202e]/);
  assert.equal(
    auditLineText(record("a", "ada lovelace")),
    '2026-03-01T12:00:00.000Z a auth user="ada lovelace" method=password outcome=accepted',
  );
});

test("every event is on the page and in the schema, and no field may hold a secret by its name", () => {
  const schema = JSON.parse(auditJsonSchema()) as { oneOf: { title: string; properties: object }[] };
  assert.deepEqual(
    schema.oneOf.map(({ title }) => title),
    Object.keys(auditEvents),
  );
  const page = auditPage();
  for (const [name, { fields }] of Object.entries(auditEvents)) {
    assert.ok(page.includes(`### \`${name}\``), name);
    for (const field of [...Object.keys(fields), ...Object.keys(auditCommonFields)]) {
      assert.ok(page.includes(`| \`${field}\` |`), field);
      assert.doesNotMatch(field, /password|secret|value|data/i);
    }
  }
});

import { auditCommonFields, auditEvents, type AuditEventRow } from "#contract";

type Fields = AuditEventRow["fields"];

/** docs/audit.md */
export function auditPage(): string {
  const events = Object.entries(auditEvents).flatMap(([name, { about, fields }]) => [
    `### \`${name}\`\n\n${about}`,
    table(fields),
  ]);
  return `${[introduction, "## Events", "Fields of every event:", table(auditCommonFields), ...events].join("\n\n")}\n`;
}

/** docs/audit.schema.json: JSON Schema of one line. */
export function auditJsonSchema(): string {
  const events = Object.entries(auditEvents).map(([name, { about, fields }]) => {
    const all: Fields = { ...auditCommonFields, ...fields };
    return {
      title: name,
      description: about,
      type: "object",
      properties: {
        ...Object.fromEntries(Object.entries(all).map(([field, row]) => [field, schemaOf(row)])),
        event: { const: name },
      },
      required: Object.keys(all).filter((field) => all[field]?.optional !== true),
      additionalProperties: false,
    };
  });
  const schema = {
    $schema: "http://json-schema.org/draft-07/schema#",
    title: "A line of Postern's audit",
    oneOf: events,
  };
  return `${JSON.stringify(schema, undefined, 2)}\n`;
}

function schemaOf({ type, about, oneOf }: Fields[string]): object {
  const description = about;
  if (oneOf !== undefined) return { description, enum: oneOf };
  if (type === "list") return { description, type: "array", items: { type: "string" } };
  return { description, type: type === "text" ? "string" : "number" };
}

function table(fields: Fields): string {
  const rows = Object.entries(fields).map(([name, { type, about, oneOf, optional }]) => {
    const form = oneOf === undefined ? type : oneOf.map((text) => `\`${text}\``).join(", ");
    return `| \`${name}\` | ${form} | ${optional === true ? "" : "always"} | ${about} |`;
  });
  return ["| field | form | | meaning |", "|---|---|---|---|", ...rows].join("\n");
}

const introduction = `# Audit

*Made by \`npm run docs\` from the source: change it there.*

The audit tells who came in, how they proved who they are, where they were led, what they asked for and what they were refused. It is for those who must answer for that; the log
([operations](operations.md#logs)) is for those who run the gateway. It is off until the configuration says where it goes:

\`\`\`yaml
audit:
  - { kind: jsonl, file: /var/log/postern/audit.jsonl }
  - { kind: syslog, server: "logs.example.lan:514", protocol: tcp }
\`\`\`

Each event is one JSON object in one line. \`session\` joins all lines of one session, here, in the log and in \`postern status\`. [audit.schema.json](audit.schema.json) is the JSON Schema of a line. New
events and fields may come with a new version; those that are there keep their meaning.

    postern audit -c postern.yaml --user web12 --since 2026-12-01
    postern audit --session 4kq0dz7m2x --json
    postern audit --refused --follow

**Never in it:** passwords, keys (only fingerprints), the values of environment variables, and what passes through channels: neither what is typed nor what is shown. Commands are in it as
they were asked for; a password that somebody writes into a command line stands there.

**What it costs.** With an audit, channel openings and requests are decoded, a few for each command, also where a rule has no [policy](policy.md). Bulk data is never looked at. What is only audited
passes unchanged.

**What it promises.** A file is only ever added to, each event in one write, so several worker processes can share it. Nothing waits for it: when a disk or a server takes nothing for so long that
4 MiB wait, events are lost, and the log says \`audit-events-lost\` with their number. Lines that follow each other closely are written together, within 10 ms (of files: 20), each with the time of what it tells: a gateway
that is killed (\`kill -9\`) loses those of its last moment, and a power cut what the system had not yet put on the disk. One that is stopped, by signal or by command, writes all. After a rotation, SIGUSR1 opens the file anew. Over UDP, nobody knows what was lost. A message for syslog is
one of RFC 5424 with the same JSON as its text; Node cannot send to \`/dev/log\`, so a local server must listen on UDP or TCP.

**Attempts.** Every password and every key is an attempt; a key that a client only asks about is told when it is refused. The method \`none\`, with which clients ask what there is, is no attempt.`;

import { LogSink, path } from "#base";
import type { AuditKind, AuditPorts, AuditSink } from "#contract";
import * as z from "zod";
import { auditErrors } from "../errors.ts";
import { Losses } from "../losses.ts";

export interface JsonlConfig {
  readonly kind: "jsonl";
  readonly file: string;
}

const schema: z.ZodType<JsonlConfig> = z.strictObject({
  kind: z.literal("jsonl"),
  file: path()
    .describe("Grows by a line for each event; SIGUSR1 opens it anew.")
    .meta({ examples: ["/var/log/postern/audit.jsonl"] }),
});

/** One JSON object in each line, each written whole, so that several processes can share the file. */
export const jsonl: AuditKind<JsonlConfig> = {
  kind: "jsonl",
  summary: "JSON, an object in each line, added to a file.",
  schema,
  create: async ({ file }, ports) => open(file, ports),
};

function open(file: string, { clock, log }: AuditPorts): AuditSink {
  let sink: LogSink;
  try {
    sink = new LogSink(file, clock);
  } catch (cause) {
    throw new auditErrors.OPERATOR_AUDIT_UNWRITABLE(`${file}: ${(cause as Error).message}`, { cause });
  }
  const losses = new Losses(log, file);
  return {
    kind: "jsonl",
    write: (record) => {
      sink.write(`${JSON.stringify(record)}\n`);
      losses.note(sink.linesLost);
    },
    reopen: () => sink.reopen(),
    [Symbol.asyncDispose]: async () => {
      await sink.close();
      losses.note(sink.linesLost);
    },
  };
}

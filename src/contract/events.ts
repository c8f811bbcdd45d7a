/**
 * The audit's events: one table, from which come the types, docs/audit.schema.json and the tables of docs/audit.md. No field
 * may ever hold a password, a key or the value of an environment variable.
 */
interface FieldRow {
  readonly type: "text" | "number" | "list";
  readonly about: string;
  /** The only texts that it may be. */
  readonly oneOf?: readonly string[];
  readonly optional?: true;
}

/** How one event looks. */
export interface AuditEventRow {
  readonly about: string;
  readonly fields: Readonly<Record<string, FieldRow>>;
}

const common = {
  time: { type: "text", about: "When, in UTC, as ISO 8601." },
  session: {
    type: "text",
    about: "The session's id, the same in all its lines, in the log and in `postern status`.",
  },
  event: { type: "text", about: "Which event it is." },
  user: {
    type: "text",
    about: "The name that the client gives, as soon as it has given one.",
    optional: true,
  },
} as const;

const rows = {
  connection: {
    about: "A client has come in.",
    fields: {
      from: { type: "text", about: "Its address and port, or `unix`." },
      via: { type: "text", about: "The entry point." },
    },
  },
  auth: {
    about: "It tried to prove who it is.",
    fields: {
      method: { type: "text", about: "SSH's name of the method." },
      outcome: {
        type: "text",
        about:
          "`refused` has its reason; `partial`: right, and another step is due; `deferred`: the upstream is asked.",
        oneOf: ["accepted", "partial", "refused", "deferred"],
      },
      key: { type: "text", about: "The fingerprint of the key that was shown.", optional: true },
      by: {
        type: "text",
        about: "What proved it: key, certificate, or who judged the password.",
        optional: true,
      },
      rule: { type: "text", about: "The rule of this name.", optional: true },
      reason: { type: "text", about: "Why it was refused. The client is never told.", optional: true },
    },
  },
  decision: {
    about: "Who it is has been settled, and with that where it goes.",
    fields: {
      rule: { type: "text", about: "The rule that matched." },
      upstream: { type: "list", about: "Addresses to try, in this order." },
      upstreamUser: { type: "text", about: "The user name there." },
    },
  },
  "upstream-login": {
    about: "The gateway tried to log in at the upstream.",
    fields: {
      upstream: { type: "text", about: "The address.", optional: true },
      upstreamUser: { type: "text", about: "The user name there." },
      outcome: {
        type: "text",
        about: "`failed`: it could not be reached, trusted or spoken with.",
        oneOf: ["entered", "refused", "failed"],
      },
      reason: { type: "text", about: "Code of the error, or what was refused.", optional: true },
    },
  },
  channel: {
    about: "A channel was asked for.",
    fields: {
      type: { type: "text", about: "SSH's name of the channel's type." },
      by: { type: "text", about: "Who asked for it.", oneOf: ["client", "upstream"] },
      channel: { type: "number", about: "The asking side's number of it." },
      outcome: {
        type: "text",
        about: "`refused`: by the policy; `failed`: by the far side.",
        oneOf: ["opened", "refused", "failed"],
      },
      destination: { type: "text", about: "Where a forwarding leads: host:port, or a path.", optional: true },
      reason: { type: "text", about: "Why it was refused, as the client is told.", optional: true },
    },
  },
  request: {
    about: "The client asked for something, on a channel or for the connection as a whole.",
    fields: {
      type: { type: "text", about: "SSH's name of the request." },
      channel: {
        type: "number",
        about: "The client's number of the channel; absent: the connection.",
        optional: true,
      },
      outcome: {
        type: "text",
        about: "`replaced`: another command runs. What is allowed, the upstream may still refuse.",
        oneOf: ["allowed", "refused", "replaced"],
      },
      command: { type: "text", about: "The command that the client asked for.", optional: true },
      forced: { type: "text", about: "The command that runs in its place.", optional: true },
      subsystem: { type: "text", about: "Its name.", optional: true },
      name: {
        type: "text",
        about: "An environment variable's name; its value is never told.",
        optional: true,
      },
      destination: { type: "text", about: "Where to listen: host:port, or a path.", optional: true },
      reason: { type: "text", about: "Why it was refused.", optional: true },
    },
  },
  target: {
    about: "The client named a target, to be joined with it unopened.",
    fields: {
      entry: { type: "text", about: "The way by which the name came." },
      name: { type: "text", about: "The name, or the socket's path, as the client said it." },
      outcome: {
        type: "text",
        about:
          "`refused`: there is no such target, or it is not for this client; `failed`: it did not answer.",
        oneOf: ["opened", "refused", "failed"],
      },
      stream: {
        type: "number",
        about: "Of a jump host's client: which of its openings, from 1.",
        optional: true,
      },
      rule: { type: "text", about: "The rule by which it was decided.", optional: true },
      target: { type: "text", about: "The target that the name stands for.", optional: true },
      upstream: { type: "text", about: "The address that answered.", optional: true },
      reason: { type: "text", about: "Why not.", optional: true },
    },
  },
  "target-end": {
    about: "A jump host's client and a target are parted.",
    fields: {
      stream: { type: "number", about: "Which of the client's openings." },
      target: { type: "text", about: "The target." },
      seconds: { type: "number", about: "How long it lasted." },
      bytesFromClient: { type: "number", about: "Bytes passed on." },
      bytesToClient: { type: "number", about: "Bytes passed on." },
      reason: { type: "text", about: "What ended it." },
    },
  },
  end: {
    about: "The session is over.",
    fields: {
      blame: { type: "text", about: "Whose fault it is, or `none`." },
      reason: { type: "text", about: "What ended it: code of an error, or words." },
      seconds: { type: "number", about: "How long it lasted." },
      bytesFromClient: { type: "number", about: "Bytes on the wire." },
      bytesToClient: { type: "number", about: "Bytes on the wire." },
      channels: { type: "number", about: "Channels that there were.", optional: true },
      upstream: { type: "text", about: "Where it led.", optional: true },
    },
  },
} as const;

type Value<Field> = Field extends { readonly oneOf: readonly (infer Text)[] }
  ? Text
  : Field extends { readonly type: "text" }
    ? string
    : Field extends { readonly type: "number" }
      ? number
      : readonly string[];
type Optional = { readonly optional: true };
type Fields<Rows> = {
  readonly [Name in keyof Rows as Rows[Name] extends Optional ? never : Name]: Value<Rows[Name]>;
} & {
  readonly [Name in keyof Rows as Rows[Name] extends Optional ? Name : never]?: Value<Rows[Name]> | undefined;
};

export type AuditEventName = keyof typeof rows;

/** One event, without what all have in common. */
export type AuditEvent = {
  [Name in AuditEventName]: { readonly event: Name; readonly user?: string | undefined } & Fields<
    (typeof rows)[Name]["fields"]
  >;
}[AuditEventName];

/** One line of the audit. */
export type AuditRecord = AuditEvent & Fields<typeof common>;

export const auditEvents: Readonly<Record<AuditEventName, AuditEventRow>> = rows;
export const auditCommonFields: Readonly<Record<string, FieldRow>> = common;

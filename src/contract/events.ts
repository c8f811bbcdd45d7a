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
      method: {
        type: "text",
        about:
          "SSH's name of the method; `http`: a name and a password over HTTP; `browser`: at a provider, for a page.",
      },
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
      subject: {
        type: "text",
        about: "Who it is by the word of the webhook or the OpenID provider; of these, never a token.",
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
      reason: {
        type: "text",
        about: "Code of the error, what was refused, or what for if not for the session.",
        optional: true,
      },
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
  web: {
    about: "A device's web page was asked for: once for each outcome in a connection.",
    fields: {
      device: { type: "text", about: "The device's name." },
      outcome: {
        type: "text",
        about: "`failed`: the device did not answer as it should.",
        oneOf: ["opened", "failed"],
      },
      by: {
        type: "text",
        about: "What let it in; `ticket`: the cookie of an earlier login.",
        oneOf: ["public", "ticket", "certificate", "password"],
        optional: true,
      },
      rule: { type: "text", about: "The rule of this name.", optional: true },
      reason: { type: "text", about: "Why it failed.", optional: true },
    },
  },
  device: {
    about: "A machine that may come to hold tunnels has said its name.",
    fields: {
      outcome: {
        type: "text",
        about: "`waits`: an operator must approve it; `joined`: it is a device from now on.",
        oneOf: ["waits", "joined", "refused"],
      },
      key: { type: "text", about: "The fingerprint of its key." },
      name: { type: "text", about: "The name that it said, or was given.", optional: true },
      code: { type: "text", about: "By which an operator approves it.", optional: true },
      by: { type: "text", about: "What it came by: `token:ID` or `certificate`.", optional: true },
      reason: { type: "text", about: "Why it was refused.", optional: true },
    },
  },
  tunnel: {
    about: "A device asked for a tunnel, or holds one no longer.",
    fields: {
      outcome: {
        type: "text",
        about: "`held`: it can be reached by it from now on; `ended`: no longer.",
        oneOf: ["held", "refused", "ended"],
      },
      device: { type: "text", about: "The device's name; its key's fingerprint if it is none." },
      asked: { type: "text", about: "What it asked for: name:port, or a path." },
      port: { type: "number", about: "The port that it is reached by.", optional: true },
      reason: { type: "text", about: "Why it was refused or has ended.", optional: true },
    },
  },
  office: {
    about:
      "A program did something about devices by their HTTP API, or was not let: what is only looked at is not told.",
    fields: {
      outcome: {
        type: "text",
        about: "`failed`: by a fault of the gateway.",
        oneOf: ["done", "refused", "failed"],
      },
      by: { type: "text", about: "The token's name; absent: it is unknown.", optional: true },
      act: { type: "text", about: "What was asked for, as the API's description names it.", optional: true },
      said: { type: "text", about: "Of which device or join token, as it was said.", optional: true },
      id: { type: "text", about: "The id of the device or join token.", optional: true },
      device: { type: "text", about: "The device's name now.", optional: true },
      reason: { type: "text", about: "Why it was refused.", optional: true },
    },
  },
  "file-open": {
    about: "A file was opened (`sftp` with `record`).",
    fields: {
      channel: { type: "number", about: "The client's number of the channel." },
      mount: { type: "text", about: "The mount that it is in, of a rule with `mounts`.", optional: true },
      upstream: { type: "text", about: "Where that mount leads: user, host and port.", optional: true },
      path: { type: "text", about: "As the client sees it." },
      upstreamPath: { type: "text", about: "As it is at the upstream, where that is known.", optional: true },
      access: {
        type: "list",
        about: "For what: `read`, `write`, `append`, `create`, `truncate`, `exclusive`.",
      },
      outcome: { type: "text", about: "What the upstream said.", oneOf: ["done", "failed"] },
      reason: { type: "text", about: "Why it failed.", optional: true },
    },
  },
  "file-close": {
    about: "A file was closed, or its channel has ended.",
    fields: {
      channel: { type: "number", about: "The client's number of the channel." },
      mount: { type: "text", about: "The mount that it is in, of a rule with `mounts`.", optional: true },
      upstream: { type: "text", about: "Where that mount leads: user, host and port.", optional: true },
      path: { type: "text", about: "As the client sees it." },
      upstreamPath: { type: "text", about: "As it is at the upstream, where that is known.", optional: true },
      outcome: {
        type: "text",
        about: "`cut-off`: the channel ended while it was open.",
        oneOf: ["done", "failed", "cut-off"],
      },
      bytesRead: { type: "number", about: "Bytes of it that the client was sent." },
      bytesWritten: { type: "number", about: "Bytes of it that the client sent." },
      sha256: {
        type: "text",
        about: "Of the whole file, in hex; only if it passed whole, in order and once.",
        optional: true,
      },
      of: {
        type: "text",
        about: "Which way the bytes of `sha256` passed.",
        oneOf: ["read", "written"],
        optional: true,
      },
    },
  },
  "file-list": {
    about: "A folder was listed.",
    fields: {
      channel: { type: "number", about: "The client's number of the channel." },
      mount: { type: "text", about: "The mount that it is in, of a rule with `mounts`.", optional: true },
      upstream: { type: "text", about: "Where that mount leads: user, host and port.", optional: true },
      path: { type: "text", about: "As the client sees it." },
      upstreamPath: { type: "text", about: "As it is at the upstream, where that is known.", optional: true },
      entries: { type: "number", about: "Names that the client was told." },
    },
  },
  "file-change": {
    about: "Something was done to a file or folder by its name.",
    fields: {
      channel: { type: "number", about: "The client's number of the channel." },
      mount: { type: "text", about: "The mount that it is in, of a rule with `mounts`.", optional: true },
      upstream: { type: "text", about: "Where that mount leads: user, host and port.", optional: true },
      path: { type: "text", about: "As the client sees it." },
      upstreamPath: { type: "text", about: "As it is at the upstream, where that is known.", optional: true },
      action: {
        type: "text",
        about: "What was done.",
        oneOf: [
          "open",
          "read",
          "write",
          "list",
          "look",
          "mkdir",
          "remove",
          "rmdir",
          "rename",
          "symlink",
          "hardlink",
          "attributes",
          "copy",
        ],
      },
      to: { type: "text", about: "The new name; what a symbolic link says.", optional: true },
      upstreamTo: { type: "text", about: "The same, as it is at the upstream.", optional: true },
      outcome: { type: "text", about: "What the upstream said.", oneOf: ["done", "failed"] },
      reason: { type: "text", about: "Why it failed.", optional: true },
    },
  },
  "file-refused": {
    about: "Something with a file was not allowed.",
    fields: {
      channel: { type: "number", about: "The client's number of the channel." },
      mount: { type: "text", about: "The mount that it is in, of a rule with `mounts`.", optional: true },
      upstream: { type: "text", about: "Where that mount leads: user, host and port.", optional: true },
      action: {
        type: "text",
        about: "What was asked for; `look`: what a path is.",
        oneOf: [
          "open",
          "read",
          "write",
          "list",
          "look",
          "mkdir",
          "remove",
          "rmdir",
          "rename",
          "symlink",
          "hardlink",
          "attributes",
          "copy",
        ],
      },
      path: { type: "text", about: "As the client said it." },
      to: { type: "text", about: "The second path, where there are two.", optional: true },
      reason: { type: "text", about: "Why, as the client is told." },
    },
  },
  "sftp-broken": {
    about:
      "An SFTP channel was ended by the gateway, because it could not be read or the rule's root not be used; of a rule with `mounts`, what leads to the host of one.",
    fields: {
      channel: { type: "number", about: "The client's number of the channel." },
      by: { type: "text", about: "Whose doing it was.", oneOf: ["client", "upstream"] },
      reason: { type: "text", about: "The error: its code, and what was wrong." },
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

/** What is done with a file. */
export type FileAction = (typeof rows)["file-change"]["fields"]["action"]["oneOf"][number];

/** One line of the audit. */
export type AuditRecord = AuditEvent & Fields<typeof common>;

export const auditEvents: Readonly<Record<AuditEventName, AuditEventRow>> = rows;
export const auditCommonFields: Readonly<Record<string, FieldRow>> = common;

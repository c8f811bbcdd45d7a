import type { DeviceLogReport, DeviceReport, SeenDevice, TokenReport } from "#contract";
import * as z from "zod";

/** What is answered, for the description; `npm test` holds real answers against it. */
const text = z.string();
const time = z.iso.datetime().describe("ISO 8601, in UTC.");
const web = z.enum(["off", "login", "public"]);

const reportFields = {
  id: text.describe("The same for ever."),
  name: text.describe("Empty while it waits and has asked for none."),
  state: z.enum(["pending", "approved", "denied", "revoked"]),
  code: text.optional().describe("Of those that wait: what the device shows."),
  fingerprint: text.describe("SHA256:… of its key."),
  key: text.describe("As in authorized_keys."),
  tags: z.array(text),
  ports: z.array(z.int()).describe("Ports of its own that it may offer."),
  web: web.describe("Who may see its web page."),
  cameBy: text.describe("`pending`, `token:ID` or `certificate`."),
  createdAt: time,
  decidedAt: time.optional(),
  decidedBy: text.optional().describe("`operator:NAME`, `api:NAME`, or what it came by."),
  lastSeenAt: time.optional(),
  lastFrom: text.optional().describe("Its last address."),
};

export const deviceAnswer: z.ZodType<DeviceReport> = z.strictObject(
  reportFields,
) as unknown as z.ZodType<DeviceReport>;

export const seenAnswer: z.ZodType<SeenDevice> = z.strictObject({
  ...reportFields,
  online: z.boolean().nullable().describe("Whether it holds a tunnel now."),
  tunnels: z.array(z.strictObject({ port: z.int(), from: text, since: time })),
}) as unknown as z.ZodType<SeenDevice>;

export interface DevicesAnswer {
  readonly devices: readonly SeenDevice[];
  readonly next?: string;
}

export const devicesAnswer: z.ZodType<DevicesAnswer> = z.strictObject({
  devices: z.array(seenAnswer),
  next: text.optional().describe("Say it as `after` for what follows. Absent: that was all."),
}) as unknown as z.ZodType<DevicesAnswer>;

export interface LogAnswer {
  readonly log: readonly DeviceLogReport[];
}

export const logAnswer: z.ZodType<LogAnswer> = z.strictObject({
  log: z.array(z.strictObject({ at: time, event: text, by: text, detail: text.optional() })),
}) as unknown as z.ZodType<LogAnswer>;

const tokenFields = {
  id: text,
  usesLeft: z.int(),
  tags: z.array(text),
  ports: z.array(z.int()),
  web,
  names: text.describe("Names that it may be used for, with * and ?."),
  createdAt: time,
  expiresAt: time,
};

export interface TokensAnswer {
  readonly joinTokens: readonly TokenReport[];
}

export const tokensAnswer: z.ZodType<TokensAnswer> = z.strictObject({
  joinTokens: z.array(z.strictObject(tokenFields)),
});

export const madeAnswer: z.ZodType<TokenReport & { readonly token: string }> = z.strictObject({
  ...tokenFields,
  token: text.describe("What a new device says: join+TOKEN. It is shown here and never again."),
});

export interface ErrorAnswer {
  readonly error: string;
  readonly code: string;
}

export const errorAnswer: z.ZodType<ErrorAnswer> = z.strictObject({
  error: text.describe("One sentence for people."),
  code: text.describe("For programs: one of docs/errors.md, or the name of the status."),
});

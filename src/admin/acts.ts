import type { DeviceGrant, DeviceOffice, SeenDevice } from "#contract";
import * as z from "zod";
import {
  deviceAnswer,
  type DevicesAnswer,
  devicesAnswer,
  logAnswer,
  madeAnswer,
  seenAnswer,
  tokensAnswer,
} from "./answers.ts";
import type { ApiScope } from "./schema.ts";

/** Devices in one answer. */
export const maxListed: number = 500;

/** Devices that are looked at for one answer, where few of them fit. */
export const maxLookedAt: number = 5000;

/** What a request says, read and checked. */
export interface Said {
  /** From the path: a device, or a join token's id. */
  readonly subject: string;
  readonly query: unknown;
  readonly body: unknown;
}

export interface ActPorts {
  readonly office: DeviceOffice;
  /** Ports of devices for which nobody says any. */
  readonly ports: readonly number[];
}

/** One thing that can be done. Acts that change something are told in the audit. */
export interface Act {
  readonly name: string;
  readonly method: "GET" | "POST" | "PATCH" | "DELETE";
  /** `{device}` and `{id}` stand for one part. */
  readonly path: string;
  readonly scope: ApiScope;
  readonly summary: string;
  readonly query?: z.ZodType;
  readonly body?: z.ZodType;
  readonly answer: z.ZodType;
  run(said: Said, ports: ActPorts): Promise<unknown>;
}

const oneLine = z.string().max(256);
const grantFields = {
  tags: z.array(oneLine).max(64).optional().describe("For rules to name it by."),
  ports: z.array(z.int().min(1).max(65_535)).min(1).max(64).optional().describe("Ports that it may offer."),
  web: z.enum(["off", "login", "public"]).optional().describe("Who may see its web page."),
};

const listQuery = z.strictObject({
  state: z.enum(["pending", "approved", "denied", "revoked"]).optional(),
  tag: oneLine.optional(),
  online: z.enum(["true", "false"]).optional(),
  limit: z.coerce.number().int().min(1).max(maxListed).default(100),
  after: z
    .string()
    .max(400)
    .transform((text, ctx) => {
      const place = placeOf(text);
      if (place !== undefined) return place;
      ctx.addIssue({ code: "custom", message: "expected `next` of an answer" });
      return z.NEVER;
    })
    .optional()
    .describe("`next` of the answer before."),
});
const logQuery = z.strictObject({ limit: z.coerce.number().int().min(1).max(1000).default(100) });
const approveBody = z.strictObject({
  name: oneLine.optional().describe("Default: the one that it asked for."),
  ...grantFields,
});
const changeBody = z.strictObject(grantFields);
const renameBody = z.strictObject({ name: oneLine });
const tokenBody = z.strictObject({
  uses: z.int().min(1).max(9_999_999).default(1),
  expiresSeconds: z
    .int()
    .min(1)
    .max(365 * 86_400)
    .default(86_400),
  names: oneLine.default("*").describe("Names that it may be used for, with * and ?."),
  ...grantFields,
});

/** Makes an act of what is read of the request: what `run` gets has the shapes' types. */
function act<Query = undefined, Body = undefined, Answer = unknown>(
  row: Omit<Act, "query" | "body" | "answer" | "run"> & {
    readonly query?: z.ZodType<Query>;
    readonly body?: z.ZodType<Body>;
    readonly answer: z.ZodType<Answer>;
    run(
      said: { readonly subject: string; readonly query: Query; readonly body: Body },
      ports: ActPorts,
    ): Promise<Answer>;
  },
): Act {
  return row;
}

/** Nothing to say but that it was done. */
const nothing = z.strictObject({ id: z.string() });

/** All of the API. Docs and dispatch are both made of it. */
export const acts: readonly Act[] = [
  act({
    name: "list",
    method: "GET",
    path: "/v1/devices",
    scope: "read",
    summary: "The devices, in the order of their names.",
    query: listQuery,
    answer: devicesAnswer,
    run: async ({ query }, { office }) => await listed(query, office),
  }),
  act({
    name: "show",
    method: "GET",
    path: "/v1/devices/{device}",
    scope: "read",
    summary: "All that is known of a device.",
    answer: seenAnswer,
    run: async ({ subject }, { office }) => await office.find(subject),
  }),
  act({
    name: "log",
    method: "GET",
    path: "/v1/devices/{device}/log",
    scope: "read",
    summary: "What happened to a device, the newest first.",
    query: logQuery,
    answer: logAnswer,
    run: async ({ subject, query }, { office }) => ({ log: await office.log(subject, query.limit) }),
  }),
  act({
    name: "approve",
    method: "POST",
    path: "/v1/devices/{device}/approve",
    scope: "decide",
    summary:
      "Lets a device in that waits, by its code or id; one that was denied or revoked by its name too.",
    body: approveBody,
    answer: deviceAnswer,
    run: async ({ subject, body }, { office }) => await office.approve(subject, grantOf(body)),
  }),
  act({
    name: "deny",
    method: "POST",
    path: "/v1/devices/{device}/deny",
    scope: "decide",
    summary: "Refuses a device that waits; its key may not ask again.",
    answer: deviceAnswer,
    run: async ({ subject }, { office }) => await office.deny(subject),
  }),
  act({
    name: "rename",
    method: "POST",
    path: "/v1/devices/{device}/rename",
    scope: "decide",
    summary: "Gives a device another name; its tunnels are cut.",
    body: renameBody,
    answer: deviceAnswer,
    run: async ({ subject, body }, { office }) => await office.rename(subject, body.name),
  }),
  act({
    name: "change",
    method: "PATCH",
    path: "/v1/devices/{device}",
    scope: "decide",
    summary: "Sets tags, ports or who may see its web page. What is not said stays.",
    body: changeBody,
    answer: deviceAnswer,
    run: async ({ subject, body }, { office }) => await office.grant(subject, grantOf(body)),
  }),
  act({
    name: "revoke",
    method: "POST",
    path: "/v1/devices/{device}/revoke",
    scope: "decide",
    summary: "Cuts a device's tunnels within a second, and refuses its key from now on.",
    answer: deviceAnswer,
    run: async ({ subject }, { office }) => await office.revoke(subject),
  }),
  act({
    name: "remove",
    method: "DELETE",
    path: "/v1/devices/{device}",
    scope: "decide",
    summary: "Forgets a device: its key is a stranger's again.",
    answer: deviceAnswer,
    run: async ({ subject }, { office }) => await office.remove(subject),
  }),
  act({
    name: "list-join-tokens",
    method: "GET",
    path: "/v1/join-tokens",
    scope: "read",
    summary: "The join tokens, without what they are shown by.",
    answer: tokensAnswer,
    run: async (_, { office }) => ({ joinTokens: await office.tokens() }),
  }),
  act({
    name: "make-join-token",
    method: "POST",
    path: "/v1/join-tokens",
    scope: "join-tokens",
    summary: "Makes a join token. Without ports it gives those of the configuration.",
    body: tokenBody,
    answer: madeAnswer,
    run: async ({ body }, { office, ports }) =>
      await office.makeToken({
        uses: body.uses,
        lifeMs: body.expiresSeconds * 1000,
        names: body.names.toLowerCase(),
        tags: body.tags ?? [],
        ports: body.ports ?? ports,
        web: body.web ?? "off",
      }),
  }),
  act({
    name: "remove-join-token",
    method: "DELETE",
    path: "/v1/join-tokens/{id}",
    scope: "join-tokens",
    summary: "Makes a join token void; devices that came by it stay.",
    answer: nothing,
    run: async ({ subject }, { office }) => {
      await office.removeToken(subject);
      return { id: subject };
    },
  }),
];

/** zod gives `undefined` for what is absent. */
function grantOf({ name, tags, ports, web }: Partial<z.output<typeof approveBody>>): DeviceGrant {
  return {
    ...(name === undefined ? {} : { name }),
    ...(tags === undefined ? {} : { tags }),
    ...(ports === undefined ? {} : { ports }),
    ...(web === undefined ? {} : { web }),
  };
}

async function listed(
  { state, tag, online, limit, after }: z.output<typeof listQuery>,
  office: DeviceOffice,
): Promise<DevicesAnswer> {
  const devices: SeenDevice[] = [];
  let looked = 0;
  for await (const device of office.list(after)) {
    const fits =
      (state === undefined || device.state === state) &&
      (tag === undefined || device.tags.includes(tag)) &&
      (online === undefined || device.online === (online === "true"));
    if (fits) devices.push(device);
    if (devices.length === limit || ++looked === maxLookedAt) return { devices, next: nextOf(device) };
  }
  return { devices };
}

function nextOf({ name, id }: SeenDevice): string {
  return Buffer.from(JSON.stringify([name, id])).toString("base64url");
}

function placeOf(after: string): { readonly name: string; readonly id: string } | undefined {
  try {
    const place: unknown = JSON.parse(Buffer.from(after, "base64url").toString("utf8"));
    const [name, id] = Array.isArray(place) ? (place as unknown[]) : [];
    return typeof name === "string" && typeof id === "string" ? { name, id } : undefined;
  } catch {
    return undefined;
  }
}

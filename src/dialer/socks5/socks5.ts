import { formatHostPort, type HostPort, Secret, secret } from "#base";
import type { DialOptions, HopKind, HopPorts } from "#contract";
import type { Duplex } from "node:stream";
import * as z from "zod";
import { Conversation, within } from "../conversation.ts";
import { dialerErrors } from "../errors.ts";
import { hopAddress } from "../hop-address.ts";
import {
  addressBytesOf,
  decodeChoice,
  decodeLoginAnswer,
  decodeReply,
  encodeConnect,
  encodeGreeting,
  encodeLogin,
  METHOD,
  reasonOf,
} from "./messages.ts";

export interface Socks5Config {
  readonly kind: "socks5";
  readonly address: HostPort;
  readonly user?: string | undefined;
  readonly password?: Secret | undefined;
}

/** RFC 1929: a byte tells the length. */
const fits = (length: number): boolean => length <= 255;

const schema: z.ZodType<Socks5Config> = z
  .strictObject({
    kind: z.literal("socks5"),
    address: hopAddress(1080),
    user: z
      .string()
      .min(1)
      .refine((user) => fits(Buffer.byteLength(user)), { error: "can be 255 bytes long" })
      .optional()
      .describe("Name to log in with at the proxy."),
    password: secret
      .refine((value) => fits(value.byteLength), { error: "can be 255 bytes long" })
      .optional()
      .describe("Password of that name; it goes over the wire as it is."),
  })
  .superRefine(({ user, password }, ctx) => {
    if ((user === undefined) !== (password === undefined))
      ctx.addIssue({ code: "custom", message: "give user and password, or neither" });
  });

/** Over an outgoing SOCKS proxy of version 5; names are resolved there. */
export const socks5: HopKind<Socks5Config> = {
  kind: "socks5",
  summary: "A SOCKS proxy, version 5, with a name and password or without. It resolves the names.",
  schema,
  create: async (config, ports) => ({
    kind: "socks5",
    dial: (address, options) => dial(config, ports, address, options),
    [Symbol.asyncDispose]: async () => {},
  }),
};

async function dial(
  { address: proxy, user, password }: Socks5Config,
  { through }: HopPorts,
  address: HostPort,
  options: DialOptions,
): Promise<Duplex> {
  const where = `SOCKS proxy ${formatHostPort(proxy)}`;
  const refused = (reason: string): Error =>
    new dialerErrors.UPSTREAM_PROXY_REFUSED(`${where}: ${formatHostPort(address)}: ${reason}`);
  if (Buffer.byteLength(address.host) > 255) throw refused("the name is too long");
  const stream = await through.dial(proxy, options);
  return await within(stream, options, where, async () => {
    const talk = new Conversation(stream, where);
    talk.say(encodeGreeting(user !== undefined));
    const method = await talk.hear(decodeChoice);
    if (method === METHOD.PASSWORD && user !== undefined && password !== undefined) {
      talk.say(encodeLogin(Buffer.from(user), password.reveal()));
      if (!(await talk.hear(decodeLoginAnswer))) throw refused("it refused the login");
    } else if (method !== METHOD.NONE) throw refused("it wants a login that we have not");
    talk.say(encodeConnect(address, addressBytesOf(address.host)));
    const code = await talk.hear(decodeReply);
    if (code !== 0) throw refused(reasonOf(code));
    talk.end();
    return stream;
  });
}

import { formatHostPort, type HostPort, type Secret, secret } from "#base";
import type { DialOptions, HopKind, HopPorts } from "#contract";
import type { Duplex } from "node:stream";
import { z } from "zod";
import { Conversation, within } from "../conversation.ts";
import { dialerErrors } from "../errors.ts";
import { hopAddress } from "../hop-address.ts";
import { decodeConnectAnswer } from "./answer.ts";

export interface HttpProxyConfig {
  readonly kind: "http";
  readonly address: HostPort;
  readonly user?: string | undefined;
  readonly password?: Secret | undefined;
}

const schema: z.ZodType<HttpProxyConfig> = z
  .strictObject({
    kind: z.literal("http"),
    address: hopAddress(3128),
    user: z
      .string()
      .regex(/^[^:\p{Cc}]+$/u, { error: "can hold no colon and no control character" })
      .optional()
      .describe("Name to log in with at the proxy."),
    password: secret.optional().describe("Password of that name; it goes over the wire as it is."),
  })
  .superRefine(({ user, password }, ctx) => {
    if ((user === undefined) !== (password === undefined))
      ctx.addIssue({ code: "custom", message: "give user and password, or neither" });
  });

/** Over an outgoing HTTP proxy, by CONNECT; names are resolved there. */
export const httpProxy: HopKind<HttpProxyConfig> = {
  kind: "http",
  summary: "An HTTP proxy, by CONNECT, with a name and password or without. It resolves the names.",
  schema,
  create: async (config, ports) => ({
    kind: "http",
    dial: (address, options) => dial(config, ports, address, options),
    [Symbol.asyncDispose]: async () => {},
  }),
};

async function dial(
  { address: proxy, user, password }: HttpProxyConfig,
  { through }: HopPorts,
  address: HostPort,
  options: DialOptions,
): Promise<Duplex> {
  const where = `HTTP proxy ${formatHostPort(proxy)}`;
  const name = formatHostPort(address);
  const stream = await through.dial(proxy, options);
  return await within(stream, options, where, async () => {
    const talk = new Conversation(stream, where);
    const login =
      user === undefined || password === undefined
        ? ""
        : `Proxy-Authorization: Basic ${Buffer.concat([Buffer.from(`${user}:`), password.reveal()]).toString("base64")}\r\n`;
    talk.say(Buffer.from(`CONNECT ${name} HTTP/1.1\r\nHost: ${name}\r\n${login}\r\n`, "latin1"));
    const { status, reason } = await talk.hear(decodeConnectAnswer);
    if (status < 200 || status > 299)
      throw new dialerErrors.UPSTREAM_PROXY_REFUSED(`${where}: ${name}: ${status} ${reason}`);
    talk.end();
    return stream;
  });
}

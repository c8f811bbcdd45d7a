import { formatHostPort, type HostPort, path, type Secret, secret } from "#base";
import type { DialOptions, FileReader, HopKind, HopPorts } from "#contract";
import { isIP } from "node:net";
import type { Duplex } from "node:stream";
import { connect } from "node:tls";
import * as z from "zod";
import { Conversation, within } from "../conversation.ts";
import { dialerErrors } from "../errors.ts";
import { hopAddress } from "../hop-address.ts";
import { decodeConnectAnswer } from "./answer.ts";

export interface HttpProxyConfig {
  readonly kind: "http";
  readonly address: HostPort;
  readonly user?: string | undefined;
  readonly password?: Secret | undefined;
  /** TLS lies around what is said to the proxy, and its certificate is checked. */
  readonly tls?: boolean | undefined;
  readonly certificateAuthorities?: string | undefined;
}

const maxPemBytes = 1024 * 1024;

const schema: z.ZodType<HttpProxyConfig> = z
  .strictObject({
    kind: z.literal("http"),
    address: hopAddress(3128),
    user: z
      .string()
      .regex(/^[^:\p{Cc}]+$/u, { error: "can hold no colon and no control character" })
      .optional()
      .describe("Name to log in with at the proxy."),
    password: secret
      .optional()
      .describe("Password of that name; without `tls` it goes over the wire as it is."),
    tls: z
      .boolean()
      .optional()
      .describe("Speak TLS with the proxy. Its certificate must be for the name in `address`."),
    certificateAuthorities: path({ exists: true })
      .optional()
      .describe("PEM with the authorities that vouch for that certificate. Default: those that Node knows."),
  })
  .superRefine(({ user, password, tls, certificateAuthorities }, ctx) => {
    if (certificateAuthorities !== undefined && tls !== true)
      ctx.addIssue({
        code: "custom",
        path: ["certificateAuthorities"],
        message: "has no effect without tls",
      });
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
  config: HttpProxyConfig,
  { through, files }: HopPorts,
  address: HostPort,
  options: DialOptions,
): Promise<Duplex> {
  const { address: proxy, user, password } = config;
  const where = `HTTP proxy ${formatHostPort(proxy)}`;
  const name = formatHostPort(address);
  const raw = await through.dial(proxy, options);
  return await within(raw, options, where, async () => {
    const stream = config.tls === true ? await secured(raw, config, files, where) : raw;
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

/** Throws UPSTREAM_PROXY_REFUSED when nobody vouches for the proxy, or it is another. */
async function secured(
  socket: Duplex,
  { address: { host }, certificateAuthorities }: HttpProxyConfig,
  files: FileReader,
  where: string,
): Promise<Duplex> {
  const failed = (reason: string, cause?: Error): Error =>
    new dialerErrors.UPSTREAM_PROXY_REFUSED(`${where}: TLS: ${reason}`, { cause });
  let authorities = {};
  if (certificateAuthorities !== undefined) {
    // At each connection: it may have changed.
    const read = await files.read(certificateAuthorities, maxPemBytes);
    if (read === undefined) throw failed(`there is no file ${certificateAuthorities}`);
    authorities = { ca: Buffer.from(read.bytes) };
  }
  // An address is no name for SNI; the certificate is checked for it all the same.
  const name = isIP(host) === 0 ? { servername: host } : {};
  const secure = connect({ socket, host, ...name, ...authorities, ALPNProtocols: ["http/1.1"] });
  const done = Promise.withResolvers<void>();
  const lost = (error: Error): void => done.reject(failed(error.message, error));
  const left = (): void => done.reject(failed("it closed the connection"));
  secure.once("secureConnect", done.resolve);
  secure.once("error", lost);
  secure.once("close", left);
  try {
    await done.promise;
  } finally {
    secure.off("close", left);
    // Until somebody listens, an error would end the process.
    secure.on("error", () => {});
  }
  return secure;
}

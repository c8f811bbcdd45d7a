/** A device with a web server, held by a stock ssh, behind a gateway that gives it an address. */
import { once } from "node:events";
import { createServer, type IncomingMessage, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { WebSocketServer } from "ws";
import { type CertificatePair, selfSigned } from "./certificates.ts";
import { type Child, type ChildOptions, type Outcome, run } from "./child.ts";
import { signInHost } from "./openid.ts";
import { type DeviceStand, startDeviceStand } from "./device-stand.ts";
import { type GatewayOptions, postern, type Pieces } from "./gateway.ts";
import { stranger } from "./strangers.ts";
import { tempDir, type TempDir } from "./temp-dir.ts";

export const domain = "devices.example";
/** Covered by the certificate, and no device's. */
export const pathHost = "paths.example";
export const password = "correct horse";

export interface WebStand extends AsyncDisposable {
  readonly stand: DeviceStand;
  readonly certificate: CertificatePair;
  readonly folder: TempDir;
  /** Port of the web server that all devices have. */
  readonly webPort: number;
  /** Requests that reached it. */
  readonly heard: IncomingMessage[];
  readonly sockets: WebSocketServer;
  /** Enrols a device and holds its tunnel. */
  device(
    name: string,
    web: "off" | "login" | "public",
    more?: { readonly tags?: readonly string[]; readonly to?: number },
  ): Promise<Child>;
  /** Where a device's page is. */
  url(name: string, path?: string): string;
  /** The options that let any program find it and trust it. */
  readonly curlFlags: (name: string) => readonly string[];
  curl(name: string, path: string, flags?: readonly string[], options?: ChildOptions): Promise<Outcome>;
}

export interface WebStandOptions {
  readonly web?: Pieces;
  /** For pages; `login` takes the one password. */
  readonly rules?: (login: readonly Pieces[]) => readonly Pieces[];
  readonly config?: Pieces;
  readonly listener?: Pieces;
  readonly tls?: (folder: TempDir) => Promise<Pieces>;
  readonly handler?: RequestListener;
  readonly gateway?: GatewayOptions;
}

export async function startWebStand(options: WebStandOptions = {}): Promise<WebStand> {
  await using stack = new AsyncDisposableStack();
  const folder = stack.use(await tempDir());
  const certificate = await selfSigned(folder, "web", `*.${domain}`, domain, signInHost, pathHost);
  const { stdout } = await postern(["key", "hash-password"], { stdin: { data: `${password}\n` } });
  const login = [{ kind: "password", hashes: [stdout.toString().trim()] }];
  const heard: IncomingMessage[] = [];
  const server: Server = createServer((request, response) => {
    heard.push(request);
    if (options.handler !== undefined) options.handler(request, response);
    else response.end(`${request.method} ${request.url}\n`);
  });
  const sockets = new WebSocketServer({ noServer: true });
  server.on("upgrade", (request, socket, head) => {
    heard.push(request);
    sockets.handleUpgrade(request, socket, head, (joined) => sockets.emit("connection", joined, request));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  stack.defer(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port: webPort } = server.address() as AddressInfo;
  const stand = stack.use(
    await startDeviceStand({
      devices: { ports: [22, 80], web: { domain, ...options.web } },
      targets: [{ name: "fleet", devices: true }],
      rules: () =>
        options.rules?.(login) ?? [
          {
            name: "web-ada",
            mode: "splice",
            match: { user: "ada", entries: ["web"] },
            login,
            targets: ["fleet"],
          },
          {
            name: "web-bob",
            mode: "splice",
            match: { user: "bob", entries: ["web"] },
            login,
            targets: ["tag:hall1"],
          },
        ],
      config: {
        listen: [
          { address: "127.0.0.1:0", entries: ["ssh", "web"], silentSeconds: "5s", ...options.listener },
        ],
        tls: { certificates: [certificate], ...(await options.tls?.(folder)) },
        limits: {
          startups: { start: 1000, full: 1000 },
          maxStartupsPerSource: 1000,
          failureDelaySeconds: 0.2,
        },
        ...options.config,
      },
      ...(options.gateway === undefined ? {} : { gateway: options.gateway }),
    }),
  );
  const { gateway } = stand;
  const host = (name: string): string => (name.includes(".") ? name : `${name}.${domain}`);
  const curlFlags = (name: string): readonly string[] => [
    "--resolve",
    `${host(name)}:${gateway.port}:127.0.0.1`,
    "--cacert",
    certificate.certificate,
    "--noproxy",
    "*",
  ];
  const url = (name: string, path = "/"): string => `https://${host(name)}:${gateway.port}${path}`;
  const owned = stack.move();
  return {
    stand,
    certificate,
    folder,
    webPort,
    heard,
    sockets,
    device: async (name, web, { tags = [], to = webPort } = {}) => {
      const key = stand.key(name);
      const flags = tags.flatMap((tag) => ["-t", tag]);
      await stand.enrol(key, name, "-p", "22", "-p", "80", "--web", web, ...flags);
      const child = owned.use(stand.hold(key, ["-R", `${name}:80:127.0.0.1:${to}`]));
      await stand.held(name);
      return child;
    },
    url,
    curlFlags,
    curl: async (name, path, flags = [], more = {}) =>
      await run(stranger("curl"), ["-sS", ...curlFlags(name), ...flags, url(name, path)], more),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

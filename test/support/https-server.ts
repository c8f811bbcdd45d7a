import { once } from "node:events";
import { readFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer } from "node:https";
import { selfSigned } from "./certificates.ts";
import type { TempDir } from "./temp-dir.ts";

/** A web server on loopback whose certificate vouches for itself. */
export interface HttpsServer extends AsyncDisposable {
  /** `https://localhost:PORT` */
  readonly origin: string;
  /** Path of its certificate, to be trusted as an authority. */
  readonly certificate: string;
}

export async function startHttps(
  folder: TempDir,
  name: string,
  answer: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<HttpsServer> {
  const { certificate, key } = await selfSigned(folder, name, "localhost");
  const server = createServer(
    { key: readFileSync(key), cert: readFileSync(certificate) },
    (request, response) => {
      response.on("error", () => {});
      answer(request, response);
    },
  );
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  return {
    origin: `https://localhost:${port}`,
    certificate,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** All that a request brings. */
export async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

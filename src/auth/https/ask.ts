import { type Agent, type IncomingHttpHeaders, request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import type { FileReader } from "#contract";

export interface Question {
  readonly method: "GET" | "POST";
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | undefined;
  /** PEM of the authorities to trust in place of the system's. */
  readonly authorities?: string | undefined;
  readonly maxBytes: number;
  /** Ends it: rejects with the signal's reason. */
  readonly signal: AbortSignal;
  /** Keeps connections for further questions; absent: one connection for each. */
  readonly agent?: Agent | undefined;
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Uint8Array;
}

/** Of certificates of authorities, as PEM. */
const maxAuthoritiesBytes = 1024 * 1024;

/** Asks by https, or by http where the address says so. Rejects with an Error whose message tells why, and never what was sent. */
export function askAddress(url: URL, question: Question): Promise<Answer> {
  const { method, headers, body, authorities, maxBytes, signal, agent } = question;
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(signal.reason);
      return;
    }
    const options = {
      method,
      signal,
      agent: agent ?? (false as const),
      headers: {
        "accept-encoding": "identity",
        "user-agent": "Postern",
        ...headers,
        ...(body === undefined ? {} : { "content-length": String(body.length) }),
      },
    };
    const request =
      url.protocol === "https:"
        ? requestHttps(url, { ...options, ...(authorities === undefined ? {} : { ca: authorities }) })
        : requestHttp(url, options);
    const refuse = (error: unknown): void => reject(signal.aborted ? signal.reason : error);
    request.once("error", refuse);
    request.once("response", (response) => {
      const { statusCode = 0, headers: answered } = response;
      const chunks: Buffer[] = [];
      let length = 0;
      response.once("error", refuse);
      response.on("data", (chunk: Buffer) => {
        length += chunk.length;
        if (length <= maxBytes) chunks.push(chunk);
        else {
          reject(new Error(`it answered more than ${maxBytes} bytes`));
          request.destroy();
        }
      });
      response.once("end", () =>
        resolve({ status: statusCode, headers: answered, body: Buffer.concat(chunks) }),
      );
      response.once("close", () => refuse(new Error("the answer was cut off")));
    });
    request.end(body);
  });
}

/** Reads authorities; undefined where no file is named. `refuse` makes what is thrown for a file without any. */
export async function authoritiesIn(
  file: string | undefined,
  files: FileReader,
  refuse: (reason: string) => Error,
): Promise<string | undefined> {
  if (file === undefined) return undefined;
  const read = await files.read(file, maxAuthoritiesBytes);
  const text = read === undefined ? "" : Buffer.from(read.bytes).toString("latin1");
  if (!text.includes("-----BEGIN CERTIFICATE-----")) throw refuse(`${file} holds no certificate as PEM`);
  return text;
}

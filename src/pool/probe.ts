import type { Duplex } from "node:stream";
import { connect as connectTls } from "node:tls";
import type { CheckPlan } from "#contract";

/** Bytes that a host may say before its version line: a notice, or something that is no SSH at all. */
export const maxProbeBytes: number = 8192;

export interface ProbeOptions {
  readonly signal: AbortSignal;
  /** For TLS: what it is asked for. */
  readonly serverName?: string;
}

/** Whether a stream just connected is what it ought to be: undefined, or what is wrong with it. The stream is over afterwards. */
export async function probe(
  kind: CheckPlan["kind"],
  stream: Duplex,
  options: ProbeOptions,
): Promise<string | undefined> {
  const result = Promise.withResolvers<string | undefined>();
  const { signal } = options;
  const late = (): void => result.resolve("no answer in time");
  signal.addEventListener("abort", late, { once: true });
  if (signal.aborted) late();
  stream.on("error", (error) => result.resolve(error.message));
  stream.on("close", () => result.resolve("it closed the connection"));
  let inner: Duplex | undefined;
  if (kind === "tcp") result.resolve(undefined);
  else if (kind === "ssh") lookForVersion(stream, result.resolve);
  else inner = greetTls(stream, options.serverName, result.resolve);
  try {
    return await result.promise;
  } finally {
    signal.removeEventListener("abort", late);
    inner?.destroy();
    stream.destroy();
  }
}

/** RFC 4253, section 4.2: lines may come before the version line. */
function lookForVersion(stream: Duplex, tell: (wrong: string | undefined) => void): void {
  let text = "";
  stream.on("data", (chunk: Uint8Array) => {
    text += Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength).toString("latin1");
    if (/^SSH-(?:2\.0|1\.99)-[^\n]*\n/m.test(text)) tell(undefined);
    else if (text.length > maxProbeBytes) tell("what it says is no SSH");
  });
  stream.on("end", () => tell(text === "" ? "it closed the connection" : "what it says is no SSH"));
}

/** Whether it speaks TLS at all: its certificate is for its clients to judge. */
function greetTls(
  stream: Duplex,
  serverName: string | undefined,
  tell: (wrong: string | undefined) => void,
): Duplex {
  const socket = connectTls({
    socket: stream,
    rejectUnauthorized: false,
    ...(serverName === undefined ? {} : { servername: serverName }),
  });
  socket.on("secureConnect", () => tell(undefined));
  socket.on("error", (error) => tell(`TLS: ${error.message}`));
  return socket;
}

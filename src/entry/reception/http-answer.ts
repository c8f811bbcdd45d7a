import type { Duplex } from "node:stream";
import type { Received } from "#contract";

/** The same for every name that leads nowhere, whether it exists or not. */
const refusal = "There is no such target here, or it is not for you.";
export const texts: Readonly<Record<number, readonly [status: string, text: string]>> = {
  400: ["Bad Request", refusal],
  401: ["Unauthorized", "Give a name and a password."],
  403: ["Forbidden", refusal],
  404: ["Not Found", refusal],
  407: ["Proxy Authentication Required", "Give a name and a password."],
  426: ["Upgrade Required", "Version 13 of WebSocket is spoken here."],
  431: ["Request Header Fields Too Large", refusal],
  502: ["Bad Gateway", "The server behind this gateway cannot be reached."],
};

const challenge = 'Basic realm="Postern", charset="UTF-8"';
const headers: Readonly<Record<number, readonly string[]>> = {
  401: [`WWW-Authenticate: ${challenge}`],
  407: [`Proxy-Authenticate: ${challenge}`],
  426: ["Sec-WebSocket-Version: 13"],
};

/** One whole answer, the last of its connection. */
export function answer(stream: Duplex, status: number, said?: string): void {
  const [reason = "", text = ""] = texts[status] ?? [];
  const body = `${said ?? text}\n`;
  stream.end(
    [
      `HTTP/1.1 ${status} ${reason}`,
      ...(headers[status] ?? []),
      "Content-Type: text/plain; charset=utf-8",
      `Content-Length: ${Buffer.byteLength(body)}`,
      "Connection: close",
      "",
      body,
    ].join("\r\n"),
  );
}

export function refused(stream: Duplex, status: number, reason: string): Received {
  answer(stream, status);
  return { kind: "refused", stream, tell: false, reason };
}

import { createServer, type Socket } from "node:net";
import type { KeySigner } from "#ssh/keys";
import { Writer } from "#ssh/wire";
import { tempDir } from "./temp-dir.ts";

export interface FakeAgent extends AsyncDisposable {
  /** Path of its socket. */
  readonly socket: string;
  /** Payloads of the requests so far. */
  readonly requests: readonly Uint8Array[];
}

/** Bytes to write (framed by the caller, or not), or what else to do. */
export type FakeAgentAnswer = Uint8Array | "silence" | "close";

/** What answers at the socket of an agent, right or wrong. Requests come whole or in pieces. */
export async function fakeAgent(answer: (payload: Uint8Array) => FakeAgentAnswer): Promise<FakeAgent> {
  const folder = await tempDir();
  const socket = folder.at("agent.sock");
  const requests: Uint8Array[] = [];
  const connections = new Set<Socket>();
  const server = createServer((connection) => {
    connections.add(connection);
    connection.on("error", () => undefined);
    let waiting: Buffer = Buffer.alloc(0);
    connection.on("data", (chunk: Buffer) => {
      waiting = Buffer.concat([waiting, chunk]);
      while (waiting.length >= 4 && waiting.length >= 4 + waiting.readUInt32BE(0)) {
        const end = 4 + waiting.readUInt32BE(0);
        const payload = Uint8Array.from(waiting.subarray(4, end));
        waiting = waiting.subarray(end);
        requests.push(payload);
        const said = answer(payload);
        if (said === "close") connection.destroy();
        else if (said !== "silence") connection.write(said);
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  return {
    socket,
    requests,
    [Symbol.asyncDispose]: async () => {
      for (const connection of connections) connection.destroy();
      await new Promise((resolve) => server.close(resolve));
      await folder[Symbol.asyncDispose]();
    },
  };
}

/** One framed reply. */
export function framedReply(payload: Uint8Array): Uint8Array {
  return new Writer().string(payload).bytes();
}

export function listReply(...keys: readonly (readonly [blob: Uint8Array, comment: string])[]): Uint8Array {
  const writer = new Writer().u8(12).u32(keys.length);
  for (const [blob, comment] of keys) writer.string(blob).string(comment);
  return framedReply(writer.bytes());
}

export function signatureReply(signature: Uint8Array): Uint8Array {
  return framedReply(new Writer().u8(14).string(signature).bytes());
}

export const failureReply: Uint8Array = framedReply(Uint8Array.of(5));

/** Whether a request's payload asks for the list. */
export function asksForList(payload: Uint8Array): boolean {
  return payload[0] === 11;
}

/** A list of these keys, and nothing signed. */
export function listOf(...keys: readonly KeySigner[]): Uint8Array {
  return listReply(...keys.map(({ blob }) => [blob, "test"] as const));
}

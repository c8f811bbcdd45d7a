import type { Duplex } from "node:stream";
import type { HostPort } from "#base";
import { clientErrors } from "../errors.ts";
import { SocksConversation } from "./socks.ts";

/** Milliseconds that a program has to say by SOCKS where it wants to go. */
const socksMs = 30_000;

/** A program that has said where it wants to go, and waits for the answer. */
export interface SocksAsked {
  readonly to: HostPort;
  granted(): void;
  /** `known`: the server itself said no. */
  refused(known: boolean): void;
}

/**
 * Reads what a program at a SOCKS port wants; what it sent after that is put back. The stream must be paused. Throws
 * PEER_SOCKS_INVALID.
 */
export function readSocks(stream: Duplex): Promise<SocksAsked> {
  const conversation = new SocksConversation();
  const asked = Promise.withResolvers<SocksAsked>();
  const stop = (): void => {
    clearTimeout(timer);
    stream.off("readable", read);
    stream.off("end", ended);
    stream.off("close", ended);
  };
  const fail = (error: unknown): void => {
    stop();
    asked.reject(error);
  };
  const ended = (): void => fail(new clientErrors.PEER_SOCKS_INVALID("it ended before it said where to"));
  const timer = setTimeout(
    () => fail(new clientErrors.PEER_SOCKS_INVALID("it did not say where to")),
    socksMs,
  );
  const read = (): void => {
    try {
      for (;;) {
        const chunk = stream.read() as Buffer | null;
        if (chunk === null) return;
        let step = conversation.receive(chunk);
        while (step.kind === "send") {
          stream.write(step.bytes);
          step = conversation.receive(Buffer.alloc(0));
        }
        if (step.kind === "more") continue;
        if (step.kind === "refuse") {
          stream.write(step.bytes);
          throw new clientErrors.PEER_SOCKS_INVALID("it wants more than a connection");
        }
        const { to, rest } = step;
        stop();
        if (rest.length > 0) stream.unshift(Buffer.from(rest));
        asked.resolve({
          to,
          granted: () => void stream.write(conversation.answer("granted")),
          refused: (known) => void stream.write(conversation.answer(known ? "refused" : "unreachable")),
        });
        return;
      }
    } catch (error) {
      fail(error);
    }
  };
  stream.on("readable", read);
  stream.once("end", ended);
  stream.once("close", ended);
  return asked.promise;
}

import { PosternError } from "#base";
import type { ConnClose } from "#ssh/transport";

/** The client ended the connection before it was in: nobody's fault. */
export class ClientLeft extends Error {
  constructor() {
    super("the client left before it had logged in");
  }
}

/** Why a login is over when its connection is. */
export function whyClosed(close: ConnClose): unknown {
  return close.kind === "failed" && close.error instanceof PosternError ? close.error : new ClientLeft();
}

import type { Clock, PosternError } from "#base";
import type { ProgramDesk } from "#contract";
import type { Asked, Reply } from "./asked.ts";
import { bodyOf } from "./body.ts";
import { valueOf } from "./fields.ts";
import { type Page, plainPage, say } from "./pages.ts";
import type { Site } from "./site.ts";
import type { Visitor } from "./visitor.ts";

/** Where programs ask, at a host of its own. Each connection has one answer: what a token may not do any more, no old connection may. */
export class ProgramSite implements Site {
  /** Nobody is sent elsewhere: the token would be shown a second time, after it was shown to all. */
  readonly plain = "serve";
  readonly protocols = ["http/1.1"] as const;
  readonly #desk: ProgramDesk;
  readonly #clock: Clock;

  constructor(desk: ProgramDesk, clock: Clock) {
    this.#desk = desk;
    this.#clock = clock;
  }

  takes(host: string): boolean {
    return host === this.#desk.host;
  }

  async answer(asked: Asked, reply: Reply, { client }: Visitor): Promise<void> {
    if (client.serverName === undefined) {
      await say(reply, plainPage(403, "Refused", "This is spoken by TLS alone."), true);
      return;
    }
    const { method, path, fields, body, length } = asked;
    const {
      status,
      text,
      fields: own,
    } = await this.#desk.answer({
      method,
      path,
      authorization: valueOf(fields, "authorization"),
      contentType: valueOf(fields, "content-type"),
      hasBody: length !== "none" && valueOf(fields, "content-length") !== "0",
      body: async (maxBytes) => await bodyOf(body, maxBytes, this.#clock),
      from: client.desk.from,
      audit: client.desk.audit,
    });
    if (reply.begun || reply.sink.destroyed) return;
    reply.begin(status, "", [
      ...own,
      ["Content-Length", String(Buffer.byteLength(text))],
      ["Cache-Control", "no-store"],
      ["X-Content-Type-Options", "nosniff"],
      ["Connection", "close"],
    ]);
    reply.sink.end(text);
    await reply.over();
  }

  /** Nothing is asked of devices here. */
  async failure(_: Asked, { user }: PosternError): Promise<Page> {
    return await Promise.resolve(plainPage(502, "Failed", user));
  }
}

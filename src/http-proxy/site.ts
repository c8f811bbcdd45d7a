import type { Duplex } from "node:stream";
import type { PosternError } from "#base";
import type { WebClient } from "#contract";
import type { Asked, Reply } from "./asked.ts";
import type { Page } from "./pages.ts";
import type { Visitor } from "./visitor.ts";

/** What answers for one host, or for those of one domain. */
export interface Site {
  /** What is done with HTTP without TLS. */
  readonly plain: "redirect" | "serve";
  /** Where https is, with its port. Absent: at the port that was asked, or at 443 for 80. */
  readonly authority?: string;
  /** `host` in lower case. */
  takes(host: string): boolean;
  /** What is spoken there. Absent: all. */
  readonly protocols?: readonly WebClient["protocol"][];
  /** Answers one request; UPSTREAM_ errors may be thrown for as long as nothing has been answered. */
  answer(asked: Asked, reply: Reply, visitor: Visitor): Promise<void>;
  /** The same for a WebSocket. Absent: there are none. */
  upgrade?(asked: Asked, reply: Reply, visitor: Visitor, stream: Duplex, head: Buffer): Promise<void>;
  /** How an UPSTREAM_ error is told. */
  failure(asked: Asked, error: PosternError): Promise<Page>;
}

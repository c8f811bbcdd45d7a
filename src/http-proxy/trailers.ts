import type { ClientRequest, IncomingMessage } from "node:http";
import type { Asked, Reply } from "./asked.ts";
import { endToEnd, type Fields, fieldsOf, isTold, valuesOf } from "./fields.ts";

/** What says something of the message as a whole, or is looked at before it, means nothing behind it (RFC 9110, section 6.5.1). */
const onlyAhead = new Set([
  "age",
  "authorization",
  "cache-control",
  "cookie",
  "date",
  "expires",
  "host",
  "location",
  "max-forwards",
  "pragma",
  "range",
  "retry-after",
  "set-cookie",
  "vary",
  "warning",
  "www-authenticate",
]);

/** Fields behind a body that may be passed on. */
export function trailersOf(raw: readonly string[]): Fields {
  return endToEnd(fieldsOf(raw)).filter(([name]) => {
    const plain = name.toLowerCase();
    return !onlyAhead.has(plain) && !plain.startsWith("content-") && !isTold(plain);
  });
}

/** What a client sends behind a body whose length it did not say goes behind what the device gets. */
export function passTrailers({ body, length }: Asked, sending: ClientRequest): void {
  if (length !== "chunked") return;
  body.once("end", () => {
    const fields = trailersOf("rawTrailers" in body ? (body.rawTrailers as readonly string[]) : []);
    if (fields.length > 0 && !sending.destroyed)
      sending.addTrailers(fields.map(([name, value]): [string, string] => [name, value]));
  });
}

/** Whether a device says that some will come. Only then can HTTP/2 have any. */
export function announcesTrailers({ rawHeaders }: IncomingMessage): boolean {
  return valuesOf(fieldsOf(rawHeaders), "trailer").length > 0;
}

/** The same for an answer. */
export function passTrailersBack(said: IncomingMessage, reply: Reply): void {
  said.once("end", () => {
    const fields = trailersOf(said.rawTrailers);
    if (fields.length > 0) reply.trail?.(fields);
  });
}

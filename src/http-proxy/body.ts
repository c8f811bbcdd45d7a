import type { Readable } from "node:stream";
import type { Clock } from "#base";

/** Time for a form, or what a program sends, to come whole. */
const bodyMs = 30_000;

/** As text. Undefined: it is too long, or does not come whole, or in time. */
export async function bodyOf(body: Readable, maxBytes: number, clock: Clock): Promise<string | undefined> {
  const read = Promise.withResolvers<boolean>();
  const chunks: Buffer[] = [];
  let length = 0;
  const take = (chunk: Buffer): void => {
    length += chunk.length;
    if (length > maxBytes) read.resolve(false);
    else chunks.push(chunk);
  };
  body.on("data", take);
  body.once("end", () => read.resolve(true));
  body.once("error", () => read.resolve(false));
  body.once("close", () => read.resolve(false));
  using _limit = clock.after(bodyMs, () => read.resolve(false));
  const whole = await read.promise;
  body.off("data", take);
  return whole ? Buffer.concat(chunks).toString("utf8") : undefined;
}

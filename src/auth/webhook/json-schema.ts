import * as z from "zod";
import { answerSchema } from "./answer.ts";
import { requestSchema } from "./request.ts";

/** docs/webhook.schema.json: what is sent, and what may be answered. */
export function webhookJsonSchema(): string {
  const part = (schema: z.ZodType): object => {
    const { $schema: _, ...rest } = z.toJSONSchema(schema, { target: "draft-2020-12", io: "input" });
    return rest;
  };
  const whole = {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "Postern's webhook",
    description: "`request` is what Postern sends, `answer` what it takes.",
    $defs: { request: part(requestSchema), answer: part(answerSchema) },
  };
  return `${JSON.stringify(whole, undefined, 2)}\n`;
}

import { version } from "#base";
import * as z from "zod";
import { type Act, acts } from "./acts.ts";
import { errorAnswer } from "./answers.ts";
import { apiScopes } from "./schema.ts";

function jsonSchema(schema: z.ZodType, io: "input" | "output"): Readonly<Record<string, unknown>> {
  const { $schema, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: "any" });
  void $schema;
  return rest;
}

function inJson(schema: z.ZodType, io: "input" | "output"): object {
  return { content: { "application/json": { schema: jsonSchema(schema, io) } } };
}

function parametersOf({ path, query }: Act): object[] {
  const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
    name,
    in: "path",
    required: true,
    description: name === "device" ? "Its id, its name, or its code while it waits." : "The join token's id.",
    schema: { type: "string" },
  }));
  const properties = query === undefined ? {} : (jsonSchema(query, "input")["properties"] ?? {});
  const inQuery = Object.entries(properties).map(([name, schema]) => ({
    name,
    in: "query",
    schema: schema as object,
  }));
  return [...inPath, ...inQuery];
}

function operationOf(act: Act): object {
  const { name, summary, scope, body, answer } = act;
  return {
    operationId: name,
    summary,
    security: [{ token: [scope] }],
    parameters: parametersOf(act),
    ...(body === undefined ? {} : { requestBody: inJson(body, "input") }),
    responses: {
      [name === "make-join-token" ? "201" : "200"]: { description: "Done.", ...inJson(answer, "output") },
      default: { description: "Not done; the body says why.", ...inJson(errorAnswer, "output") },
    },
  };
}

/** docs/device-api.openapi.json: OpenAPI 3.1. */
export function openApiText(): string {
  const paths: Record<string, Record<string, object>> = {};
  for (const act of acts) (paths[act.path] ??= {})[act.method.toLowerCase()] = operationOf(act);
  const document = {
    openapi: "3.1.0",
    info: {
      title: "Postern: the authority over devices",
      version,
      description: "See docs/device-api.md.",
    },
    components: {
      securitySchemes: {
        token: {
          type: "http",
          scheme: "bearer",
          description: `Made by \`postern device api-token\`. Scopes: ${apiScopes.join(", ")}.`,
        },
      },
    },
    paths,
  };
  return `${JSON.stringify(document, undefined, 2)}\n`;
}

import { PosternError } from "#base";
import { cliErrors } from "./errors.ts";

/** Details of this room's own errors and of the client's are whole sentences; those of others need the row's sentence before them. */
export function sentenceOf(error: unknown): string {
  const client = error instanceof PosternError && error.code.includes("_CLIENT_");
  const own = client || Object.values(cliErrors).some((each) => error instanceof each);
  if (own && error instanceof PosternError) return error.detail ?? error.message;
  return error instanceof Error ? error.message : String(error);
}

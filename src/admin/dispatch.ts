import { PosternError } from "#base";
import * as z from "zod";
import { type Act, type ActPorts, acts } from "./acts.ts";
import type { ErrorAnswer } from "./answers.ts";

/** An answer, not yet written. */
export interface Reply {
  readonly status: number;
  readonly body: unknown;
  readonly fields?: Readonly<Record<string, string>>;
}

/** Which act is meant, and of what. */
export type Found = { readonly act: Act; readonly subject: string; readonly query: string } | Reply;

/** What the office says no with, as HTTP has it; all else of the operator's is 400. */
const statuses: Readonly<Record<string, number>> = {
  OPERATOR_DEVICE_UNKNOWN: 404,
  OPERATOR_DEVICE_NAME_TAKEN: 409,
  OPERATOR_DEVICE_STATE: 409,
  OPERATOR_DEVICE_CODE: 409,
};

const routes = acts.map((act) => ({ act, parts: act.path.split("/") }));

export function refusal(status: number, code: string, error: string, fields?: Reply["fields"]): Reply {
  const body: ErrorAnswer = { error, code };
  return { status, body, ...(fields === undefined ? {} : { fields }) };
}

export function findAct(method: string, url: string): Found {
  const { path = "", query = "" } = /^(?<path>[^?]*)(?:\?(?<query>.*))?$/s.exec(url)?.groups ?? {};
  const parts = path.split("/");
  const fitting = routes.filter(
    ({ parts: own }) =>
      own.length === parts.length && own.every((part, at) => isOpen(part) || part === parts[at]),
  );
  if (fitting.length === 0) return refusal(404, "NOT_FOUND", "There is nothing at this path.");
  const found = fitting.find(({ act }) => act.method === method);
  if (found === undefined) {
    const allow = fitting.map(({ act }) => act.method).join(", ");
    return refusal(405, "METHOD_NOT_ALLOWED", `Here it is ${allow}.`, { Allow: allow });
  }
  const subject = decoded(parts[found.parts.findIndex(isOpen)] ?? "");
  if (subject === undefined) return refusal(400, "BAD_REQUEST", "The path cannot be read.");
  return { act: found.act, subject, query };
}

function isOpen(part: string): boolean {
  return part.startsWith("{");
}

function decoded(part: string): string | undefined {
  try {
    return decodeURIComponent(part);
  } catch {
    return undefined;
  }
}

/** `body`: what was sent, if anything was. Throws what is no fault of whoever asks. */
export async function perform(
  { act, subject, query }: Exclude<Found, Reply>,
  body: string | undefined,
  ports: ActPorts,
): Promise<Reply> {
  const said = readQuery(act, query);
  if (!said.ok) return said.reply;
  const sent = readBody(act, body);
  if (!sent.ok) return sent.reply;
  try {
    const answer = await act.run({ subject, query: said.value, body: sent.value }, ports);
    return { status: act.name === "make-join-token" ? 201 : 200, body: answer };
  } catch (error) {
    if (!(error instanceof PosternError) || error.blame !== "OPERATOR") throw error;
    const status = error.code.startsWith("OPERATOR_DEVICE_") ? (statuses[error.code] ?? 400) : undefined;
    if (status === undefined) throw error;
    return refusal(status, error.code, error.message);
  }
}

type Read = { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly reply: Reply };

function readQuery({ query }: Act, text: string): Read {
  const said = new URLSearchParams(text);
  const twice = [...said.keys()].find((name, at, all) => all.indexOf(name) < at);
  if (twice !== undefined) return wrong(`${twice} is said twice`);
  return checked(query ?? z.strictObject({}), Object.fromEntries(said));
}

function readBody({ body }: Act, text: string | undefined): Read {
  if (body === undefined)
    return text === undefined || text === "" || text === "{}"
      ? { ok: true, value: undefined }
      : wrong("nothing is to be sent with it");
  let value: unknown;
  try {
    value = JSON.parse(text === undefined || text === "" ? "{}" : text);
  } catch {
    return wrong("what was sent is no JSON");
  }
  return checked(body, value);
}

function checked(schema: z.ZodType, value: unknown): Read {
  const read = schema.safeParse(value);
  if (read.success) return { ok: true, value: read.data };
  const [issue] = read.error.issues;
  const place = issue?.path.join(".") ?? "";
  return wrong(`${place === "" ? "" : `${place}: `}${issue?.message ?? "it does not fit"}`);
}

function wrong(what: string): Read {
  return { ok: false, reply: refusal(400, "BAD_REQUEST", `That cannot be read: ${what}.`) };
}

import type { Clock, Log } from "#base";
import type { AuditEvent, DeviceOffice, ProgramAnswer, ProgramDesk, ProgramRequest } from "#contract";
import { findAct, perform, refusal, type Reply } from "./dispatch.ts";
import { openApiText } from "./openapi.ts";
import type { ApiConfig, ApiTokenConfig } from "./schema.ts";
import { ApiTokens, type Known } from "./tokens.ts";
import type { ApiTurns } from "./turns.ts";

/** What is read of a request's body; more is answered with 413. */
export const maxApiBodyBytes: number = 64 * 1024;

/** Requests at once, of all programs together; more are answered with 503. */
export const maxApiRequests: number = 32;

/** Characters of what a client said, in a line of the audit. */
const maxSaidChars = 100;

const descriptionPath = "/v1/openapi.json";

export interface ApiPorts {
  readonly clock: Clock;
  readonly log: Log;
  /** The office for one who decides. */
  office(by: string): DeviceOffice;
  /** Ports of devices for which nobody says any. */
  readonly ports: readonly number[];
  readonly turns: ApiTurns;
}

type OfficeEvent = Extract<AuditEvent, { event: "office" }>;

/** The authority over devices, for programs. */
export class ApiDesk implements ProgramDesk {
  readonly host: string;
  readonly #ports: ApiPorts;
  readonly #tokens: ApiTokens;
  #underWay = 0;

  constructor(config: ApiConfig, ports: ApiPorts) {
    this.host = config.host;
    this.#ports = ports;
    this.#tokens = new ApiTokens(config, ports.clock, ports.turns);
  }

  async answer(request: ProgramRequest): Promise<ProgramAnswer> {
    let reply: Reply;
    try {
      reply = await this.#answer(request);
    } catch (error) {
      this.#ports.log.error("device-api-failed", { error });
      reply = refusal(500, "INTERNAL", "The gateway made an error; its log says more.");
    }
    const { status, body, fields = {} } = reply;
    return {
      status,
      fields: [["Content-Type", "application/json"], ...Object.entries(fields)],
      text: `${JSON.stringify(body)}\n`,
    };
  }

  async #answer(request: ProgramRequest): Promise<Reply> {
    const known = await this.#tokens.judge(request.authorization, request.from);
    if (known.kind !== "known") return this.#turnedAway(known, request);
    if (this.#underWay >= maxApiRequests)
      return refusal(503, "BUSY", "Too many requests are under way.", { "Retry-After": "1" });
    this.#underWay++;
    try {
      return await this.#act(request, known.token);
    } finally {
      this.#underWay--;
    }
  }

  #turnedAway(known: Exclude<Known, { kind: "known" }>, { from, audit }: ProgramRequest): Reply {
    const { name } = known;
    const reason = known.kind === "too-often" ? "too many requests" : known.reason;
    this.#ports.log.info("device-api-refused", { from: from.text, by: name, reason });
    audit?.({ event: "office", outcome: "refused", by: name, reason });
    if (known.kind === "too-often") {
      const { waitSeconds } = known;
      const after = { "Retry-After": String(waitSeconds) };
      return refusal(429, "TOO_MANY_REQUESTS", `Ask again in ${waitSeconds} s.`, after);
    }
    return refusal(401, "UNAUTHORIZED", "This token is not known, or not any more, or not from here.", {
      "WWW-Authenticate": 'Bearer realm="Postern devices"',
    });
  }

  async #act(request: ProgramRequest, { name, scopes }: ApiTokenConfig): Promise<Reply> {
    const { method, path } = request;
    if (method === "GET" && path === descriptionPath) return { status: 200, body: description };
    const found = findAct(method, path);
    if ("status" in found) return found;
    const { act, subject } = found;
    const tell = (outcome: OfficeEvent["outcome"], more: Partial<OfficeEvent> = {}): void => {
      const said = subject === "" ? {} : { said: subject.slice(0, maxSaidChars) };
      const about = { by: name, act: act.name, ...said, outcome, ...more };
      this.#ports.log.info("device-api", { from: request.from.text, ...about });
      request.audit?.({ ...about, event: "office" });
    };
    if (!scopes.includes(act.scope)) {
      tell("refused", { reason: `the token has not the scope ${act.scope}` });
      return refusal(403, "FORBIDDEN", `The token has not the scope ${act.scope}.`);
    }
    const sent = await sentWith(request);
    if (typeof sent === "object") return sent;
    const office = this.#ports.office(`api:${name}`);
    let reply: Reply;
    try {
      reply = await perform(found, sent, { office, ports: this.#ports.ports });
    } catch (error) {
      tell("failed");
      throw error;
    }
    if (act.method === "GET") return reply;
    if (reply.status >= 400) tell("refused", { reason: textIn(reply.body, "code") });
    else {
      const [id, device] = [textIn(reply.body, "id"), textIn(reply.body, "name")];
      tell("done", { ...(id === undefined ? {} : { id }), ...(device === undefined ? {} : { device }) });
    }
    return reply;
  }
}

const description: unknown = JSON.parse(openApiText());

/** A text of an answer; undefined: it has none, or says nothing by it. */
function textIn(body: unknown, name: string): string | undefined {
  const value =
    typeof body === "object" && body !== null ? (body as Record<string, unknown>)[name] : undefined;
  return typeof value === "string" && value !== "" ? value : undefined;
}

/** Undefined: nothing. */
async function sentWith(request: ProgramRequest): Promise<string | undefined | Reply> {
  if (!request.hasBody) return undefined;
  if (request.contentType?.split(";", 1)[0]?.trim().toLowerCase() !== "application/json")
    return refusal(415, "UNSUPPORTED_MEDIA_TYPE", "What is sent is application/json.");
  return (
    (await request.body(maxApiBodyBytes)) ??
    refusal(413, "TOO_LARGE", `At most ${maxApiBodyBytes} bytes are read, and they must come whole.`)
  );
}

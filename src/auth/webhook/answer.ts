import type { LoginDirection, Restrictions } from "#contract";
import { parseKeyOptions, type Permit } from "#ssh/keys";
import * as z from "zod";
import { webhookErrors } from "./errors.ts";

/** Texts that stand in lines of log and audit, or at somebody's terminal: no control characters. */
const line = (max: number): z.ZodString =>
  z
    .string()
    .min(1)
    .max(max)
    .regex(/^[^\p{Cc}\p{Cf}\p{Zl}\p{Zp}]*$/u, { error: "control characters" });

const command = z
  .string()
  .min(1)
  .max(4096)
  .regex(/^[^\0]*$/);

const permit = z
  .string()
  .max(300)
  .regex(/^[^"\\\s]+$/)
  .describe("host:port, [v6]:port or host:*");

const limits = z
  .strictObject({
    seconds: z
      .int()
      .min(1)
      .max(30 * 86_400)
      .optional()
      .describe("How long the session may last; then it is ended."),
    pty: z.boolean().optional().describe("false: no terminal."),
    portForwarding: z.boolean().optional().describe("false: no forwarding of ports or sockets."),
    agentForwarding: z.boolean().optional().describe("false: no forwarding of the agent."),
    x11Forwarding: z.boolean().optional().describe("false: no X11."),
    permitOpen: z
      .array(permit)
      .min(1)
      .max(100)
      .optional()
      .describe("Where -L may lead; absent: as the rule says."),
    permitListen: z.array(permit).min(1).max(100).optional().describe("Where -R may listen."),
    command: command.optional().describe("Runs in place of whatever the client asks for."),
    environment: z
      .record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,63}$/), command)
      .optional()
      .describe("Variables for the upstream."),
  })
  .describe(
    "What the session may not do, though the rule would let it. Nothing here gives more than the rule does.",
  );

const allowed = z
  .strictObject({
    allow: z.literal(true),
    subject: line(256)
      .optional()
      .describe("Who it is: for log, audit and POSTERN_PROOF.")
      .meta({ examples: ["ada@example.com"] }),
    message: z
      .array(line(500))
      .max(20)
      .optional()
      .describe("Lines that the person is shown before the login succeeds."),
    upstream: z
      .strictObject({
        host: z.string().min(1).max(253).optional().describe("Must be among the rule's `targets`."),
        port: z.int().min(1).max(65_535).optional().describe("Of host; 22 if absent."),
        user: line(256).optional().describe("Must be among the `upstreamUsers` of the login method."),
      })
      .refine(({ host, port }) => host !== undefined || port === undefined, { error: "port without host" })
      .optional()
      .describe("Where the session goes, in place of what the rule says."),
    credentials: z
      .array(z.union([z.int().min(1).max(100), line(50)]))
      .min(1)
      .max(100)
      .optional()
      .describe("Which of the rule's credentials are used, in this order: by kind, or by number from 1.")
      .meta({ examples: [["certificate", 2]] }),
    limits: limits.optional(),
  })
  .describe("The client is let in.");

const denied = z
  .strictObject({
    allow: z.literal(false),
    subject: line(256).optional().describe("As above."),
    reason: line(500).optional().describe("For log and audit. The client is never told."),
  })
  .describe("The client is refused, as with a wrong password.");

export const answerSchema: z.ZodType<WrittenAnswer> = z
  .discriminatedUnion("allow", [allowed, denied])
  .describe(
    "What the webhook answers, with status 200. Keys that are not known make the answer worth nothing.",
  );

interface WrittenLimits {
  readonly seconds?: number | undefined;
  readonly pty?: boolean | undefined;
  readonly portForwarding?: boolean | undefined;
  readonly agentForwarding?: boolean | undefined;
  readonly x11Forwarding?: boolean | undefined;
  readonly permitOpen?: readonly string[] | undefined;
  readonly permitListen?: readonly string[] | undefined;
  readonly command?: string | undefined;
  readonly environment?: Readonly<Record<string, string>> | undefined;
}

interface WrittenAllowed {
  readonly allow: true;
  readonly subject?: string | undefined;
  readonly message?: readonly string[] | undefined;
  readonly upstream?:
    | {
        readonly host?: string | undefined;
        readonly port?: number | undefined;
        readonly user?: string | undefined;
      }
    | undefined;
  readonly credentials?: readonly (string | number)[] | undefined;
  readonly limits?: WrittenLimits | undefined;
}

interface WrittenDenied {
  readonly allow: false;
  readonly subject?: string | undefined;
  readonly reason?: string | undefined;
}

type WrittenAnswer = WrittenAllowed | WrittenDenied;

/** An answer, as the gateway works with it. */
export type WebhookAnswer =
  | {
      readonly allow: true;
      readonly subject?: string;
      readonly message?: string;
      readonly direction?: LoginDirection;
      readonly restrictions: readonly Restrictions[];
    }
  | { readonly allow: false; readonly subject?: string; readonly reason?: string };

/** Reads an answer. Throws UPSTREAM_WEBHOOK_FAILED for what is none; the message holds nothing of what was answered but names of keys. */
export function parseAnswer(bytes: Uint8Array): WebhookAnswer {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new webhookErrors.UPSTREAM_WEBHOOK_FAILED("the answer is no JSON", { cause });
  }
  const { data, error } = answerSchema.safeParse(value);
  if (data === undefined)
    throw new webhookErrors.UPSTREAM_WEBHOOK_FAILED(`the answer: ${whatIsWrong(error)}`);
  const { subject } = data;
  const who = subject === undefined ? {} : { subject };
  if (!data.allow)
    return { allow: false, ...who, ...(data.reason === undefined ? {} : { reason: data.reason }) };
  const { message, limits: given } = data;
  const direction = directionOf(data);
  return {
    allow: true,
    ...who,
    ...(message === undefined || message.length === 0 ? {} : { message: message.join("\n") }),
    ...(direction === undefined ? {} : { direction }),
    restrictions: given === undefined ? [] : [restrictionsOf(given)],
  };
}

/** SSH's own port. */
const defaultPort = 22;

function directionOf({ upstream, credentials }: WrittenAllowed): LoginDirection | undefined {
  if (upstream === undefined && credentials === undefined) return undefined;
  const { host, port = defaultPort, user } = upstream ?? {};
  return {
    ...(host === undefined ? {} : { address: { host, port } }),
    ...(user === undefined ? {} : { user }),
    ...(credentials === undefined ? {} : { credentials }),
  };
}

function restrictionsOf(given: WrittenLimits): Restrictions {
  const { pty = true, portForwarding = true, agentForwarding = true, x11Forwarding = true } = given;
  const { seconds, command: forced, environment = {}, permitOpen, permitListen } = given;
  return {
    of: "login",
    pty,
    portForwarding,
    agentForwarding,
    x11Forwarding,
    environment: new Map(Object.entries(environment)),
    ...(forced === undefined ? {} : { forcedCommand: forced }),
    ...(seconds === undefined ? {} : { maxSeconds: seconds }),
    ...(permitOpen === undefined ? {} : { permitOpen: permits("permitopen", permitOpen) }),
    ...(permitListen === undefined ? {} : { permitListen: permits("permitlisten", permitListen) }),
  };
}

/** Read as a line of authorized_keys says them: one language for both. */
function permits(option: "permitopen" | "permitlisten", places: readonly string[]): readonly Permit[] {
  const read = parseKeyOptions(places.map((place) => `${option}="${place}"`).join(","));
  const found = read.options?.[option === "permitopen" ? "permitOpen" : "permitListen"];
  if (found === undefined)
    throw new webhookErrors.UPSTREAM_WEBHOOK_FAILED(`the answer: limits.${option} is no list of host:port`);
  return found;
}

/** Paths of keys alone: what was answered may hold what must not be logged. */
function whatIsWrong(error: z.ZodError): string {
  const [issue] = error.issues;
  if (issue === undefined) return "it is wrong";
  const at = issue.path.map(String).join(".");
  const place = at === "" ? "it" : at.slice(0, 100);
  if (issue.code === "unrecognized_keys") return `${place} has keys that are not known`;
  return `${place} is not as it must be (${issue.code})`;
}

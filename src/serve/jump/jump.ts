import { PosternError } from "#base";
import type { JumpQuestion, JumpServer, ServedSession, ServerPorts } from "#contract";
import { type ChannelOffer, ConnectionMux } from "#ssh/connection";
import { decodeDirectStreamlocal, decodeTcpipChannel, OPEN_FAILURE } from "#ssh/messages";
import type { ConnClose } from "#ssh/transport";
import { heartbeat } from "../heartbeat.ts";
import { nameOfPath } from "../socket-path.ts";
import { LineMenu } from "./line-menu.ts";
import { TargetMenu } from "./menu.ts";
import { JumpSession } from "./session.ts";

/** Kinds of terminal that do nothing but print. */
const plainTerminals: ReadonlySet<string> = new Set(["", "dumb", "unknown", "network", "emacs"]);

/** A jump host: its clients are joined with targets, and get no shell. */
export function createJump(ports: ServerPorts): JumpServer {
  return {
    kind: "jump",
    serve: async (session) => await serveJump(session, ports),
    menu: (targets, terminal) =>
      plainTerminals.has(terminal.term) ? new LineMenu(targets) : new TargetMenu(targets, terminal),
  };
}

/** Channels that are for other machines than this one, and what their client is told. */
const refused: readonly (readonly [type: string, why: string])[] = [
  ["x11", "a jump host has no display"],
  ["tun@openssh.com", "a jump host has no tunnels"],
  ["forwarded-tcpip", "a jump host listens nowhere"],
  ["forwarded-streamlocal@openssh.com", "a jump host listens nowhere"],
  ["auth-agent@openssh.com", "a jump host uses no agent"],
];

async function serveJump(session: ServedSession, { clock }: ServerPorts): Promise<ConnClose> {
  const over = new AbortController();
  const forward = (offer: ChannelOffer, question: JumpQuestion): void =>
    void joinOffer(session, offer, question, over.signal);
  const mux = new ConnectionMux(session.conn, {
    limits: { maxChannels: session.maxChannels },
    globalRequest: async (request) => (await session.hostKeys?.prove(request)) ?? false,
    channels: new Map<string, (offer: ChannelOffer) => void>([
      ["session", (offer) => void new JumpSession(offer, session, over.signal)],
      [
        "direct-tcpip",
        (offer) => {
          const { host, port } = decodeTcpipChannel(offer.data);
          forward(offer, { name: host, port });
        },
      ],
      [
        "direct-streamlocal@openssh.com",
        (offer) => {
          const path = Buffer.from(decodeDirectStreamlocal(offer.data)).toString("utf8");
          forward(offer, { name: nameOfPath(path) ?? "", path });
        },
      ],
      ...refused.map(
        ([type, why]) =>
          [
            type,
            (offer: ChannelOffer) => offer.refuse(OPEN_FAILURE.ADMINISTRATIVELY_PROHIBITED, why),
          ] as const,
      ),
    ]),
  });
  const { hostKeys } = session;
  if (hostKeys !== undefined) mux.notify(hostKeys.type, hostKeys.data);
  using _ = heartbeat(mux, session, clock);
  const close = await mux.ended;
  over.abort(close);
  return close;
}

async function joinOffer(
  { desk, log }: ServedSession,
  offer: ChannelOffer,
  question: JumpQuestion,
  signal: AbortSignal,
): Promise<void> {
  try {
    const opened = await desk.open(question, signal);
    opened.join(offer.accept());
  } catch (error) {
    const known = error instanceof PosternError;
    if (!known) log.error("target-failed", { error });
    const reason = known ? reasonOf(error) : OPEN_FAILURE.CONNECT_FAILED;
    offer.refuse(reason, known ? error.user : "internal error");
  }
}

/** Why an opening failed, in SSH's own terms (RFC 4254, section 5.1). */
function reasonOf({ blame, code }: PosternError): number {
  if (blame !== "DENIED") return OPEN_FAILURE.CONNECT_FAILED;
  // It may, but not now: the target, or the client at it, has as many connections as it may have.
  return code.endsWith("_FULL") ? OPEN_FAILURE.RESOURCE_SHORTAGE : OPEN_FAILURE.ADMINISTRATIVELY_PROHIBITED;
}

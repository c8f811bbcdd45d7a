import type { Auditor } from "#contract";
import { Ledger, passing, type Tap, type TapVerdict } from "#pipe";
import {
  type ChannelRequest,
  decodeAddressAndPort,
  decodeChannelOpen,
  decodeChannelOpenConfirmation,
  decodeChannelOpenFailure,
  decodeChannelRequest,
  decodeGlobalRequest,
  decodeRecipient,
  decodeStreamlocalForward,
  decodeWindowAdjust,
  encodeChannelData,
  encodeChannelOpenFailure,
  encodeChannelRequest,
  encodeChannelSignal,
  encodeEnvRequest,
  encodeExecRequest,
  encodeRequestFailure,
  encodeSubsystemRequest,
  encodeWindowAdjust,
  EXTENDED_DATA_STDERR,
  MSG,
  OPEN_FAILURE,
} from "#ssh/messages";
import { type PacketView, payloadOf } from "#ssh/transport";
import { type Asked, askedBy } from "./asked.ts";
import type { FileChannels } from "./file-channels.ts";
import { originalCommand, type Permissions, placeOf } from "./permissions.ts";

export interface SessionTapsOptions {
  /** Undefined: everything passes, and is only watched. */
  readonly permissions: Permissions | undefined;
  readonly audit: Auditor | undefined;
  readonly client: Client;
  /** Where a rule has files read along. */
  readonly files?: FileChannels | undefined;
}

/** The client, as far as we speak to it ourselves. */
export interface Client {
  send(payload: Uint8Array): void;
  /** Calls back when it has read all that was sent to it until now. */
  whenRead(then: () => void): void;
}

type Side = "client" | "upstream";

/** A channel asked for and not yet there. */
interface Opening {
  readonly type: string;
  readonly destination: string | undefined;
}

interface Channel {
  /** Each side's own number of it. */
  readonly client: number;
  readonly upstream: number;
  /** The upstream's answers to requests, and ours: they carry no number, so only their order says which is which. */
  readonly replies: Ledger;
  /** Bytes of ours that the client has had, and has not yet given window for. */
  owed: number;
  closedByClient: boolean;
  closedByUpstream: boolean;
}

/** Places where the client had the upstream listen; more are refused. */
export const maxBinds: number = 4096;

/**
 * Looks at what the two sides of one session ask of each other: refuses what its permissions do not allow, in the protocol's own
 * words and in order, and tells the audit. Made only for sessions that have permissions or an audit; bulk data never comes here.
 *
 * A message names the channel by the number of the side it goes to.
 */
export class SessionTaps {
  readonly #permissions: Permissions | undefined;
  readonly #audit: Auditor | undefined;
  readonly #client: Client;
  readonly #files: FileChannels | undefined;
  /** By the number of the side that asked. */
  readonly #openings: Record<Side, Map<number, Opening>> = { client: new Map(), upstream: new Map() };
  readonly #byClient = new Map<number, Channel>();
  readonly #byUpstream = new Map<number, Channel>();
  /** Ports ("any" for a port of the upstream's choice) and paths where the upstream may listen for the client. */
  readonly #binds = new Set<string>();
  /** Channels that owe window: mostly none. */
  #owing = 0;

  constructor({ permissions, audit, client, files }: SessionTapsOptions) {
    this.#client = client;
    this.#files = files;
    this.#permissions = permissions;
    this.#audit = audit;
  }

  tapsToUpstream(): readonly Tap[] {
    const numbers = [
      MSG.GLOBAL_REQUEST,
      MSG.CHANNEL_OPEN,
      MSG.CHANNEL_OPEN_CONFIRMATION,
      MSG.CHANNEL_OPEN_FAILURE,
      MSG.CHANNEL_REQUEST,
      MSG.CHANNEL_CLOSE,
      ...(this.#refuses ? [MSG.CHANNEL_WINDOW_ADJUST] : []),
    ];
    const tap = { numbers, see: (packet: PacketView) => this.#fromClient(packet) };
    if (this.#files === undefined) return [tap];
    return [...this.#files.tapsToUpstream(), tap, this.#files.lastTap("client")];
  }

  tapsToDownstream(): readonly Tap[] {
    const numbers = [
      MSG.CHANNEL_OPEN,
      MSG.CHANNEL_OPEN_CONFIRMATION,
      MSG.CHANNEL_OPEN_FAILURE,
      MSG.CHANNEL_CLOSE,
      ...(this.#refuses ? [MSG.CHANNEL_SUCCESS, MSG.CHANNEL_FAILURE] : []),
    ];
    const tap = { numbers, see: (packet: PacketView) => this.#fromUpstream(packet) };
    if (this.#files === undefined) return [tap];
    return [...this.#files.tapsToDownstream(), tap, this.#files.lastTap("upstream")];
  }

  /** Whether anything may be answered here. */
  get #refuses(): boolean {
    return this.#permissions !== undefined || this.#files !== undefined;
  }

  #fromClient(packet: PacketView): TapVerdict {
    const payload = payloadOf(packet);
    switch (payload[0]) {
      case MSG.GLOBAL_REQUEST:
        return this.#globalRequest(payload);
      case MSG.CHANNEL_OPEN:
        return this.#open(payload, "client");
      case MSG.CHANNEL_REQUEST:
        return this.#request(payload);
      case MSG.CHANNEL_WINDOW_ADJUST:
        return this.#owing === 0 ? passing : this.#windowAdjust(payload);
      case MSG.CHANNEL_CLOSE: {
        const channel = this.#byUpstream.get(decodeRecipient(payload));
        if (channel !== undefined) channel.closedByClient = true;
        return this.#forgetClosed(channel);
      }
      default:
        return this.#openingAnswered(payload, "upstream");
    }
  }

  #fromUpstream(packet: PacketView): TapVerdict {
    const payload = payloadOf(packet);
    switch (payload[0]) {
      case MSG.CHANNEL_OPEN:
        return this.#open(payload, "upstream");
      case MSG.CHANNEL_SUCCESS:
      case MSG.CHANNEL_FAILURE:
        return this.#answered(payload);
      case MSG.CHANNEL_CLOSE: {
        const channel = this.#byClient.get(decodeRecipient(payload));
        if (channel !== undefined) channel.closedByUpstream = true;
        return this.#forgetClosed(channel);
      }
      default:
        return this.#openingAnswered(payload, "client");
    }
  }

  #open(payload: Uint8Array, by: Side): TapVerdict {
    const message = decodeChannelOpen(payload);
    const { type, channel, data } = message;
    const asked = askedBy(by === "client" ? "clientChannels" : "upstreamChannels", type, data);
    const destination = isForwarding(asked) ? placeOf(asked) : undefined;
    const refusal = this.#permissions?.refusal(asked) ?? this.#unasked(asked, by);
    if (refusal === undefined) {
      this.#openings[by].set(channel, { type, destination });
      if (this.#files === undefined || asked.kind !== "session" || by !== "client") return passing;
      return { kind: "replace", payloads: [this.#files.opening(message)] };
    }
    this.#audit?.({ event: "channel", type, by, channel, outcome: "refused", destination, reason: refusal });
    const reason = OPEN_FAILURE.ADMINISTRATIVELY_PROHIBITED;
    const answer = encodeChannelOpenFailure({ recipient: channel, reason, description: refusal });
    return { kind: "reply", payloads: [answer] };
  }

  /** Data of a listener that the client never had set up: no policy would have let it be. */
  #unasked(asked: Asked, by: Side): string | undefined {
    if (this.#permissions === undefined || by === "client" || asked.kind !== "forward-remote")
      return undefined;
    const known =
      "path" in asked
        ? this.#binds.has(asked.path)
        : this.#binds.has(String(asked.port)) || this.#binds.has("any");
    return known ? undefined : "Nobody asked for this listener.";
  }

  /** Of the opening by the side `by`, the other side tells what became of it. */
  #openingAnswered(payload: Uint8Array, by: Side): TapVerdict {
    const opened = payload[0] === MSG.CHANNEL_OPEN_CONFIRMATION;
    const own = decodeRecipient(payload);
    const opening = this.#openings[by].get(own);
    if (opening === undefined) return passing;
    this.#openings[by].delete(own);
    const event = { event: "channel", ...opening, by, channel: own } as const;
    if (!opened) {
      if (by === "client") this.#files?.notOpened(own);
      this.#audit?.({ ...event, outcome: "failed", reason: decodeChannelOpenFailure(payload).description });
      return passing;
    }
    this.#audit?.({ ...event, outcome: "opened" });
    const confirmation = decodeChannelOpenConfirmation(payload);
    const other = confirmation.channel;
    const [client, upstream] = by === "client" ? [own, other] : [other, own];
    const channel: Channel = {
      client,
      upstream,
      replies: new Ledger((answer) => this.#client.send(answer)),
      owed: 0,
      closedByClient: false,
      closedByUpstream: false,
    };
    this.#byClient.set(client, channel);
    this.#byUpstream.set(upstream, channel);
    const instead = by === "client" ? this.#files?.opened(confirmation) : undefined;
    return instead === undefined ? passing : { kind: "replace", payloads: [instead] };
  }

  #request(payload: Uint8Array): TapVerdict {
    const request = decodeChannelRequest(payload);
    const channel = this.#byUpstream.get(request.recipient);
    const asked = askedBy("channelRequests", request.type, request.data);
    const starting = asked.kind === "shell" || asked.kind === "exec" || asked.kind === "subsystem";
    const forced = starting ? this.#permissions?.forcedCommand : undefined;
    const runs = forced === undefined ? asked : whatRuns(forced);
    const refusal =
      this.#permissions?.refusal(runs) ??
      (starting ? this.#files?.starting(request.recipient, runs) : undefined);
    if (asked.kind !== "routine") {
      const outcome = refusal !== undefined ? "refused" : forced === undefined ? "allowed" : "replaced";
      this.#audit?.({
        event: "request",
        type: request.type,
        channel: channel?.client,
        outcome,
        ...detailsOf(asked),
        forced,
        reason: refusal,
      });
    }
    if (!this.#refuses) return passing;
    if (channel === undefined) {
      // The upstream knows no such channel either; but what is refused is not for it to see.
      return refusal === undefined && forced === undefined ? passing : { kind: "replace", payloads: [] };
    }
    if (refusal !== undefined) return this.#refuse(channel, request, starting ? refusal : undefined);
    if (request.wantReply) channel.replies.ask(channel.replies.owe());
    if (!starting) return passing;
    const before = this.#environment(request.recipient, asked, forced);
    if (forced === undefined && before.length === 0) return passing;
    const run = forced === undefined ? payload : encodeChannelRequest({ ...request, ...requestFor(runs) });
    return { kind: "replace", payloads: [...before, run] };
  }

  /**
   * The person is told why by a line on stderr, since the answer itself has no room for words. ssh ends at the answer and shows
   * nothing more, so the answer waits until the line has been read.
   */
  #refuse(channel: Channel, { wantReply }: ChannelRequest, text: string | undefined): TapVerdict {
    const { client, replies } = channel;
    const failure = encodeChannelSignal(MSG.CHANNEL_FAILURE, client);
    const owed = wantReply ? replies.owe() : undefined;
    const answer = (): void => {
      if (owed !== undefined && !channel.closedByUpstream) replies.settle(owed, failure);
    };
    // One line at a time, as long as the client takes them.
    if (text === undefined || channel.owed > 0 || channel.closedByUpstream) answer();
    else {
      const data = Buffer.from(`${text}\r\n`);
      this.#owing++;
      channel.owed = data.length;
      this.#files?.said(client, data.length);
      this.#client.send(encodeChannelData({ recipient: client, dataType: EXTENDED_DATA_STDERR, data }));
      if (owed !== undefined) this.#client.whenRead(answer);
    }
    return { kind: "reply", payloads: [] };
  }

  /** The upstream answered a request. An answer that it owed nobody is the client's to judge. */
  #answered(payload: Uint8Array): TapVerdict {
    const replies = this.#byClient.get(decodeRecipient(payload))?.replies;
    if (replies?.awaiting !== true) return passing;
    const owed = replies.answered();
    if (owed !== undefined) replies.settle(owed, Uint8Array.from(payload));
    return { kind: "replace", payloads: [] };
  }

  /** Requests of our own that set the environment; nobody waits for their answers. */
  #environment(recipient: number, asked: Asked, forced: string | undefined): Uint8Array[] {
    const values = new Map<string, string | Uint8Array>(this.#permissions?.environment);
    if (forced !== undefined && asked.kind === "exec") values.set(originalCommand, asked.bytes);
    if (forced !== undefined && asked.kind === "subsystem") values.set(originalCommand, asked.name);
    return [...values].map(([name, value]) => {
      const data = encodeEnvRequest({ name, value: typeof value === "string" ? Buffer.from(value) : value });
      return encodeChannelRequest({ recipient, type: "env", wantReply: false, data });
    });
  }

  #globalRequest(payload: Uint8Array): TapVerdict {
    const { type, data } = decodeGlobalRequest(payload);
    const asked = askedBy("globalRequests", type, data);
    if (asked.kind === "routine") {
      this.#unbind(type, data);
      return passing;
    }
    const refusal = this.#permissions?.refusal(asked) ?? this.#bind(asked);
    this.#audit?.({
      event: "request",
      type,
      outcome: refusal === undefined ? "allowed" : "refused",
      ...detailsOf(asked),
      reason: refusal,
    });
    return refusal === undefined ? passing : { kind: "reply", payloads: [encodeRequestFailure()] };
  }

  #bind(asked: Asked): string | undefined {
    if (this.#permissions === undefined || asked.kind !== "forward-remote") return undefined;
    if (this.#binds.size >= maxBinds) return "There are too many listeners.";
    if ("path" in asked) this.#binds.add(asked.path);
    else this.#binds.add(asked.port === 0 ? "any" : String(asked.port));
    return undefined;
  }

  #unbind(type: string, data: Uint8Array): void {
    if (this.#binds.size === 0) return;
    if (type === "cancel-tcpip-forward") this.#binds.delete(String(decodeAddressAndPort(data).port));
    else if (type === "cancel-streamlocal-forward@openssh.com")
      this.#binds.delete(Buffer.from(decodeStreamlocalForward(data)).toString("utf8"));
  }

  /** The window that the client gives back for our words is kept from the upstream, which knows nothing of them. */
  #windowAdjust(payload: Uint8Array): TapVerdict {
    const { recipient, bytes } = decodeWindowAdjust(payload);
    const channel = this.#byUpstream.get(recipient);
    if (channel === undefined || channel.owed === 0) return passing;
    const kept = Math.min(bytes, channel.owed);
    channel.owed -= kept;
    if (channel.owed === 0) this.#owing--;
    const payloads = kept === bytes ? [] : [encodeWindowAdjust({ recipient, bytes: bytes - kept })];
    return { kind: "replace", payloads };
  }

  #forgetClosed(channel: Channel | undefined): TapVerdict {
    if (channel?.closedByClient === true && channel.closedByUpstream) {
      if (channel.owed > 0) this.#owing--;
      // A number may have been given to another channel by a peer that does not keep to the rules.
      if (this.#byClient.get(channel.client) === channel) this.#byClient.delete(channel.client);
      if (this.#byUpstream.get(channel.upstream) === channel) this.#byUpstream.delete(channel.upstream);
    }
    return passing;
  }
}

function isForwarding(asked: Asked): asked is Asked & { readonly kind: "forward-local" | "forward-remote" } {
  return asked.kind === "forward-local" || asked.kind === "forward-remote";
}

/** sshd's own name of its SFTP server is no program: it is a subsystem. */
function whatRuns(forced: string): Asked {
  if (forced === "internal-sftp") return { kind: "subsystem", name: "sftp" };
  return { kind: "exec", command: forced, bytes: Buffer.from(forced) };
}

function requestFor(runs: Asked): Pick<ChannelRequest, "type" | "data"> {
  if (runs.kind === "subsystem") return { type: "subsystem", data: encodeSubsystemRequest(runs.name) };
  return { type: "exec", data: encodeExecRequest(runs.kind === "exec" ? runs.bytes : "") };
}

/** The longest text of a client's that goes into one line of the audit. */
const maxDetailChars = 4096;

interface Details {
  readonly command?: string;
  readonly subsystem?: string;
  readonly name?: string;
  readonly destination?: string;
}

function detailsOf(asked: Asked): Details {
  const cut = (text: string): string =>
    text.length <= maxDetailChars ? text : `${text.slice(0, maxDetailChars)}…`;
  switch (asked.kind) {
    case "exec":
      return { command: cut(asked.command) };
    case "subsystem":
      return { subsystem: cut(asked.name) };
    case "env":
      return { name: cut(asked.name) };
    case "forward-local":
    case "forward-remote":
      return { destination: cut(placeOf(asked)) };
    default:
      return {};
  }
}

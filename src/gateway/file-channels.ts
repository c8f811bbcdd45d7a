import { Buffer } from "node:buffer";
import type { Clock, PosternError } from "#base";
import type { Auditor } from "#contract";
import { passing, type Tap, type TapVerdict } from "#pipe";
import {
  type FileRules,
  type PathLocks,
  Recorder,
  ScpWatch,
  SftpSession,
  type SymlinkOrder,
  type Usage,
} from "#sftp";
import {
  type ChannelOpen,
  type ChannelOpenConfirmation,
  decodeChannelData,
  decodeRecipient,
  decodeWindowAdjust,
  encodeChannelOpen,
  encodeChannelOpenConfirmation,
  encodeWindowAdjust,
  EXTENDED_DATA_STDERR,
  MSG,
} from "#ssh/messages";
import { type PacketView, payloadOf } from "#ssh/transport";
import type { Asked } from "./asked.ts";
import { fileWindowBytes, FileWay, type Speaking } from "./file-way.ts";
import { scpOf } from "./permissions.ts";

export interface FileChannelsOptions {
  readonly rules: FileRules;
  readonly audit: Auditor | undefined;
  readonly clock: Clock;
  readonly locks: PathLocks;
  /** Which upstream it is. */
  readonly place: string;
  readonly symlinks: SymlinkOrder;
  readonly client: Speaking;
  readonly upstream: Speaking;
}

type Side = "client" | "upstream";

/** More than the answers to all that is asked about one path: 128 names, some 50 bytes each. */
const answerBytes = 64 * 1024;

/** What one side gave at the opening. */
interface Room {
  windowBytes: number;
  readonly maxPacketBytes: number;
}

interface Sftp {
  readonly session: SftpSession;
  readonly up: FileWay;
  readonly down: FileWay;
  /** It was ended here: what still comes is dropped. */
  over: boolean;
}

/** A session channel of the client's. */
interface FileChannel {
  readonly client: number;
  readonly upstream: number;
  /** What each side lets the other send, as it said; and what of that the other was not told yet. */
  readonly room: Readonly<Record<Side, Room>>;
  readonly withheld: Record<Side, number>;
  /** Bytes that the client has had of us before a program ran. */
  said: number;
  runs: "nothing" | "other" | { readonly sftp: Sftp } | { readonly scp: ScpWatch };
  readonly closedBy: Set<Side>;
}

const dropped: TapVerdict = { kind: "replace", payloads: [] };

/**
 * Session channels of a rule that has files read along: whatever runs on them but SFTP passes as it is. On a channel with SFTP both
 * windows are ours (ADR 12). Made for such rules only; all others have none of these taps.
 */
export class FileChannels {
  readonly #options: FileChannelsOptions;
  readonly #usage: Usage = { bytes: 0 };
  /** By the client's number, until the upstream confirms. */
  readonly #openings = new Map<number, Room & { readonly cut: number }>();
  readonly #byClient = new Map<number, FileChannel>();
  readonly #byUpstream = new Map<number, FileChannel>();

  constructor(options: FileChannelsOptions) {
    this.#options = options;
  }

  /** These come before all other taps. */
  tapsToUpstream(): readonly Tap[] {
    const numbers = [MSG.CHANNEL_DATA, MSG.CHANNEL_EXTENDED_DATA, MSG.CHANNEL_WINDOW_ADJUST];
    return [{ numbers, see: (packet) => this.#from("client", packet) }];
  }

  tapsToDownstream(): readonly Tap[] {
    const numbers = [MSG.CHANNEL_DATA, MSG.CHANNEL_EXTENDED_DATA, MSG.CHANNEL_WINDOW_ADJUST];
    return [{ numbers, see: (packet) => this.#from("upstream", packet) }];
  }

  /** And these behind all others. */
  lastTap(side: Side): Tap {
    return {
      numbers: [MSG.CHANNEL_EOF, MSG.CHANNEL_CLOSE],
      see: (packet) => this.#ending(side, payloadOf(packet)),
    };
  }

  /** The client opens a session channel. Returns the message to pass in its place. */
  opening(message: ChannelOpen): Uint8Array {
    const cut = Math.max(0, message.window - fileWindowBytes);
    this.#openings.set(message.channel, {
      windowBytes: message.window,
      maxPacketBytes: message.maxPacket,
      cut,
    });
    return encodeChannelOpen({ ...message, window: message.window - cut });
  }

  notOpened(client: number): void {
    this.#openings.delete(client);
  }

  /** The upstream confirms one. Returns the message to pass in its place; undefined: it is none of these. */
  opened(message: ChannelOpenConfirmation): Uint8Array | undefined {
    const opening = this.#openings.get(message.recipient);
    if (opening === undefined) return undefined;
    this.#openings.delete(message.recipient);
    const cut = Math.max(0, message.window - fileWindowBytes);
    const channel: FileChannel = {
      client: message.recipient,
      upstream: message.channel,
      room: {
        client: { windowBytes: opening.windowBytes, maxPacketBytes: opening.maxPacketBytes },
        upstream: { windowBytes: message.window, maxPacketBytes: message.maxPacket },
      },
      withheld: { client: cut, upstream: opening.cut },
      said: 0,
      runs: "nothing",
      closedBy: new Set(),
    };
    this.#byClient.set(channel.client, channel);
    this.#byUpstream.set(channel.upstream, channel);
    return encodeChannelOpenConfirmation({ ...message, window: message.window - cut });
  }

  /** The client was told something on a channel of this number on which nothing runs. */
  said(client: number, bytes: number): void {
    const channel = this.#byClient.get(client);
    if (channel !== undefined) channel.said += bytes;
  }

  /** A program is about to be asked for that is allowed. Returns why it may not be, if so. */
  starting(upstream: number, runs: Asked): string | undefined {
    const channel = this.#byUpstream.get(upstream);
    if (channel === undefined) return undefined;
    // Else a second program could take the place of one that is read along, and would not be.
    if (typeof channel.runs === "object") return "There can be one program on a channel.";
    if (runs.kind === "subsystem" && runs.name === "sftp") {
      this.#startSftp(channel);
      return undefined;
    }
    const scp = runs.kind === "exec" && this.#options.rules.record ? scpOf(runs.command) : undefined;
    this.#release(channel);
    channel.runs = "other";
    if (scp !== undefined) {
      const { audit, rules, clock } = this.#options;
      const recorder = new Recorder({
        audit,
        channel: channel.client,
        record: true,
        hash: rules.hash,
        clock,
      });
      channel.runs = { scp: new ScpWatch(recorder, scp.path, scp.upload) };
    }
    return undefined;
  }

  /** A side takes more packets again. */
  drained(side: Side): void {
    for (const { runs } of this.#byClient.values()) {
      if (typeof runs !== "object" || !("sftp" in runs)) continue;
      if (side === "client") runs.sftp.down.flush();
      runs.sftp.up.flush();
    }
  }

  /** The session is over. */
  close(): void {
    for (const channel of this.#byClient.values()) endReading(channel);
    this.#byClient.clear();
    this.#byUpstream.clear();
  }

  /** What was kept of the windows is given: nothing of ours stands between. */
  #release({ client, upstream, withheld }: FileChannel): void {
    if (withheld.client > 0)
      this.#options.client.send(encodeWindowAdjust({ recipient: client, bytes: withheld.client }));
    if (withheld.upstream > 0)
      this.#options.upstream.send(encodeWindowAdjust({ recipient: upstream, bytes: withheld.upstream }));
    withheld.client = 0;
    withheld.upstream = 0;
  }

  #startSftp(channel: FileChannel): void {
    const { rules, audit, clock, locks, place, symlinks, client, upstream } = this.#options;
    const { room, withheld, said } = channel;
    const clientEnd = {
      number: channel.client,
      windowBytes: Math.max(0, room.client.windowBytes - said),
      maxPacketBytes: room.client.maxPacketBytes,
      speaking: client,
    };
    const upstreamEnd = { number: channel.upstream, ...room.upstream, speaking: upstream };
    const session = new SftpSession({
      rules,
      audit,
      channel: channel.client,
      usage: this.#usage,
      clock,
      locks,
      place,
      symlinks,
      toUpstream: (bytes) => up.put(bytes),
      toClient: (bytes) => down.put(bytes),
      answerable: () => down.atLeast(answerBytes),
      progressed: () => up.settle(),
      failed: (by, error) => this.#fail(channel, by, error),
    });
    const up = new FileWay(
      clientEnd,
      upstreamEnd,
      room.upstream.windowBytes - withheld.client,
      // A client that asks and reads no answers is not read for ever.
      () => session.heldFromClient + down.queuedBytes,
      () => session.waiting,
    );
    const down = new FileWay(
      upstreamEnd,
      clientEnd,
      Math.max(0, room.client.windowBytes - withheld.upstream - said),
      () => session.heldFromUpstream,
      () => false,
    );
    channel.runs = { sftp: { session, up, down, over: false } };
  }

  #from(side: Side, packet: PacketView): TapVerdict {
    // No view of the payload: these are by far the most frequent messages.
    const { bytes: payload, start, end } = packet;
    const recipient = decodeRecipient(payload, start, end);
    const channel = side === "client" ? this.#byUpstream.get(recipient) : this.#byClient.get(recipient);
    if (channel === undefined) return passing;
    const { runs } = channel;
    if (payload[start] === MSG.CHANNEL_WINDOW_ADJUST) {
      const { bytes } = decodeWindowAdjust(payloadOf(packet));
      if (typeof runs !== "object" || !("sftp" in runs)) {
        channel.room[side].windowBytes += bytes;
        return passing;
      }
      (side === "client" ? runs.sftp.down : runs.sftp.up).adjust(bytes);
      // What the client has read makes room for more of its requests.
      if (side === "client") runs.sftp.up.settle();
      return dropped;
    }
    if (runs === "other") return passing;
    const { data, dataType } = decodeChannelData(payload, start, end);
    // Nothing that could be kept for a program which is asked for later.
    if (runs === "nothing") return dropped;
    if ("scp" in runs) {
      if (dataType === undefined && side === "client") runs.scp.fromClient(data);
      else if (dataType === undefined) runs.scp.fromUpstream(data);
      return passing;
    }
    return this.#sftpData(side, runs.sftp, data, dataType);
  }

  #sftpData(
    side: Side,
    { session, up, down, over }: Sftp,
    data: Uint8Array,
    dataType: number | undefined,
  ): TapVerdict {
    if (over) return dropped;
    const way = side === "client" ? up : down;
    way.received(data.length);
    if (dataType !== undefined) {
      // Words of the upstream's may name what is above the root.
      if (side === "upstream" && this.#options.rules.root === undefined) way.put(data, dataType);
    } else if (side === "client" ? session.fromClient(data) : session.fromUpstream(data)) {
      if (way.passes(data.length)) {
        way.settle();
        return passing;
      }
      way.put(data);
    }
    way.settle();
    return dropped;
  }

  #ending(side: Side, payload: Uint8Array): TapVerdict {
    const recipient = decodeRecipient(payload);
    const channel = side === "client" ? this.#byUpstream.get(recipient) : this.#byClient.get(recipient);
    if (channel === undefined) return passing;
    const closing = payload[0] === MSG.CHANNEL_CLOSE;
    if (closing) channel.closedBy.add(side);
    const { runs } = channel;
    const verdict =
      typeof runs === "object" && "sftp" in runs ? sftpEnding(side, runs.sftp, closing) : passing;
    if (channel.closedBy.size === 2) {
      // Whoever has closed takes nothing more.
      if (typeof runs === "object" && "sftp" in runs)
        for (const way of [runs.sftp.up, runs.sftp.down]) way.close();
      endReading(channel);
      if (this.#byClient.get(channel.client) === channel) this.#byClient.delete(channel.client);
      if (this.#byUpstream.get(channel.upstream) === channel) this.#byUpstream.delete(channel.upstream);
    }
    return verdict;
  }

  /** Both sides are told that the channel is over; the client in words too. */
  #fail(channel: FileChannel, by: Side, error: PosternError): void {
    const { runs } = channel;
    if (typeof runs !== "object" || !("sftp" in runs) || runs.sftp.over) return;
    runs.sftp.over = true;
    this.#options.audit?.({
      event: "sftp-broken",
      channel: channel.client,
      by,
      reason: `${error.code}: ${error.message}`,
    });
    const text = by === "client" ? error.user.replace("The other side", "Your program") : error.user;
    runs.sftp.down.put(Buffer.from(`${text}\r\n`), EXTENDED_DATA_STDERR);
    runs.sftp.up.close();
    runs.sftp.down.close();
  }
}

function sftpEnding(side: Side, { up, down, over }: Sftp, closing: boolean): TapVerdict {
  if (!over) (side === "client" ? up : down).end(closing ? MSG.CHANNEL_CLOSE : MSG.CHANNEL_EOF);
  return dropped;
}

function endReading({ runs }: FileChannel): void {
  if (typeof runs !== "object") return;
  if ("sftp" in runs) runs.sftp.session.close();
  else runs.scp.close();
}

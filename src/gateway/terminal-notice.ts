import { passing, type Tap, type TapVerdict } from "#pipe";
import {
  decodeChannelOpen,
  decodeChannelOpenConfirmation,
  decodeChannelRequest,
  decodeRecipient,
  decodeWindowAdjust,
  encodeChannelData,
  encodeWindowAdjust,
  MSG,
} from "#ssh/messages";
import { type PacketView, payloadOf } from "#ssh/transport";

interface Terminal {
  /** The client's number of the channel, and the upstream's. */
  readonly client: number;
  readonly upstream: number;
  /** Bytes of ours that the client has had, or will have, and has not yet given window for. */
  owed: number;
}

/**
 * Writes a line on the terminals of one session, as wall(1) does.
 *
 * It is the only thing that we ever put into a channel, because no message that SSH has for the purpose is shown by common clients.
 * The upstream does not know of these bytes, so the window that the client gives back for them is kept from it: both ends' counts
 * stay right. In between, the client may be sent that much more than its window: a line is nothing beside the windows of a
 * terminal (OpenSSH: 2 MiB, and it tolerates a tenth more).
 */
export class TerminalNotices {
  /** Session channels that the client asked for and the upstream has not confirmed, by the client's number. */
  readonly #asked = new Set<number>();
  /** Session channels without a terminal: the client's number by the upstream's. */
  readonly #plain = new Map<number, number>();
  /** By the upstream's number. */
  readonly #terminals = new Map<number, Terminal>();

  tapsToUpstream(): readonly Tap[] {
    const numbers = [MSG.CHANNEL_OPEN, MSG.CHANNEL_REQUEST, MSG.CHANNEL_WINDOW_ADJUST];
    return [{ numbers, see: (packet) => this.#fromClient(packet) }];
  }

  tapsToDownstream(): readonly Tap[] {
    const numbers = [
      MSG.CHANNEL_OPEN_CONFIRMATION,
      MSG.CHANNEL_OPEN_FAILURE,
      MSG.CHANNEL_EOF,
      MSG.CHANNEL_CLOSE,
    ];
    return [{ numbers, see: (packet) => this.#fromUpstream(packet) }];
  }

  /** What to send to the client, so that a line of text appears on each of its terminals. */
  payloads(text: string): Uint8Array[] {
    const data = Buffer.from(`\r\n${text}\r\n`);
    return [...this.#terminals.values()].map((terminal) => {
      terminal.owed += data.length;
      return encodeChannelData({ recipient: terminal.client, data });
    });
  }

  #fromClient(packet: PacketView): TapVerdict {
    switch (packet.bytes[packet.start]) {
      case MSG.CHANNEL_OPEN: {
        const { type, channel } = decodeChannelOpen(payloadOf(packet));
        if (type === "session") this.#asked.add(channel);
        return passing;
      }
      case MSG.CHANNEL_REQUEST: {
        if (this.#plain.size === 0) return passing;
        const { recipient, type } = decodeChannelRequest(payloadOf(packet));
        const client = this.#plain.get(recipient);
        if (type !== "pty-req" || client === undefined) return passing;
        this.#plain.delete(recipient);
        this.#terminals.set(recipient, { client, upstream: recipient, owed: 0 });
        return passing;
      }
      default:
        return this.#windowAdjust(packet);
    }
  }

  #windowAdjust(packet: PacketView): TapVerdict {
    if (this.#terminals.size === 0) return passing;
    const { recipient, bytes } = decodeWindowAdjust(payloadOf(packet));
    const terminal = this.#terminals.get(recipient);
    if (terminal === undefined || terminal.owed === 0) return passing;
    const kept = Math.min(bytes, terminal.owed);
    terminal.owed -= kept;
    const payloads = kept === bytes ? [] : [encodeWindowAdjust({ recipient, bytes: bytes - kept })];
    return { kind: "replace", payloads };
  }

  #fromUpstream(packet: PacketView): TapVerdict {
    const payload = payloadOf(packet);
    switch (packet.bytes[packet.start]) {
      case MSG.CHANNEL_OPEN_CONFIRMATION: {
        const { recipient, channel } = decodeChannelOpenConfirmation(payload);
        if (this.#asked.delete(recipient)) this.#plain.set(channel, recipient);
        return passing;
      }
      case MSG.CHANNEL_OPEN_FAILURE:
        this.#asked.delete(decodeRecipient(payload));
        return passing;
      default:
        this.#over(decodeRecipient(payload));
        return passing;
    }
  }

  /** After the upstream's EOF or CLOSE nothing may be written any more. */
  #over(client: number): void {
    for (const [upstream, each] of this.#plain) if (each === client) this.#plain.delete(upstream);
    for (const [upstream, each] of this.#terminals)
      if (each.client === client) this.#terminals.delete(upstream);
  }
}

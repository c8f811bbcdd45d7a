import {
  decodeChannelData,
  decodeChannelOpenConfirmation,
  decodeChannelOpenFailure,
  decodeChannelRequest,
  decodeWindowAdjust,
  encodeChannelData,
  encodeChannelOpen,
  encodeChannelSignal,
  encodeWindowAdjust,
  MSG,
  messageName,
} from "#ssh/messages";
import { transportErrors } from "#ssh/transport";

/** Bytes that a client may send us unread in a channel that we opened; an agent's longest reply fits in it. */
export const maxClientChannelBytes: number = 512 * 1024;

const maxPacketBytes = 32 * 1024;

export interface ClientChannelOptions {
  /** Our number of it. */
  readonly number: number;
  readonly type: string;
  /** Takes one payload for the client. */
  send(payload: Uint8Array): void;
  /** Data came; valid during the call only. */
  data(bytes: Uint8Array): void;
  /** No more data will come. */
  eof(): void;
}

type State =
  | { readonly kind: "opening" }
  | { readonly kind: "open"; readonly client: number; windowBytes: number; readonly maxPacketBytes: number }
  /** We have sent CLOSE, and wait for the client's. */
  | { readonly kind: "closing" }
  | { readonly kind: "over" };

/** A channel that the gateway opens to a client to ask it for something (RFC 4254, section 5): little data, requests of no kind. */
export class ClientChannel {
  /** Whether the client agreed; if not, what it said. */
  readonly opened: Promise<true | { readonly refusal: string }>;
  /** Resolves when both sides have closed it, or it never came to be. */
  readonly over: Promise<void>;
  readonly #options: ClientChannelOptions;
  readonly #open: PromiseWithResolvers<true | { readonly refusal: string }> = Promise.withResolvers();
  readonly #end: PromiseWithResolvers<void> = Promise.withResolvers();
  #state: State = { kind: "opening" };
  /** Asked to close before it was open. */
  #unwanted = false;
  #unsent: Uint8Array[] = [];
  #consumed = 0;

  constructor(options: ClientChannelOptions) {
    this.#options = options;
    this.opened = this.#open.promise;
    this.over = this.#end.promise;
    const { number: channel, type } = options;
    const window = maxClientChannelBytes;
    options.send(
      encodeChannelOpen({ type, channel, window, maxPacket: maxPacketBytes, data: new Uint8Array() }),
    );
  }

  /** Sends bytes as the client's window allows. They may not be changed afterwards. */
  write(bytes: Uint8Array): void {
    this.#unsent.push(bytes);
    this.#sendSome();
  }

  close(): void {
    if (this.#state.kind === "opening") this.#unwanted = true;
    if (this.#state.kind !== "open") return;
    const { client } = this.#state;
    this.#state = { kind: "closing" };
    this.#options.send(encodeChannelSignal(MSG.CHANNEL_CLOSE, client));
  }

  /** A message of the client's for this channel. Throws PEER_UNEXPECTED_MESSAGE, and the errors of ssh/wire. */
  receive(payload: Uint8Array): void {
    const number = payload[0] ?? 0;
    const state = this.#state;
    if (state.kind === "opening") {
      this.#answered(payload, number);
      return;
    }
    if (state.kind === "over" || number <= MSG.CHANNEL_OPEN_FAILURE) unexpected(number);
    switch (number) {
      case MSG.CHANNEL_WINDOW_ADJUST:
        if (state.kind !== "open") return;
        state.windowBytes += decodeWindowAdjust(payload).bytes;
        this.#sendSome();
        return;
      case MSG.CHANNEL_DATA:
        this.#data(decodeChannelData(payload).data, state);
        return;
      case MSG.CHANNEL_EOF:
        if (state.kind === "open") this.#options.eof();
        return;
      case MSG.CHANNEL_CLOSE:
        this.close();
        this.#state = { kind: "over" };
        this.#end.resolve();
        return;
      case MSG.CHANNEL_REQUEST:
        if (decodeChannelRequest(payload).wantReply && state.kind === "open")
          this.#options.send(encodeChannelSignal(MSG.CHANNEL_FAILURE, state.client));
        return;
      default:
        unexpected(number);
    }
  }

  #answered(payload: Uint8Array, number: number): void {
    if (number === MSG.CHANNEL_OPEN_FAILURE) {
      this.#state = { kind: "over" };
      this.#open.resolve({ refusal: decodeChannelOpenFailure(payload).description });
      this.#end.resolve();
      return;
    }
    if (number !== MSG.CHANNEL_OPEN_CONFIRMATION) unexpected(number);
    const { channel: client, window: windowBytes, maxPacket } = decodeChannelOpenConfirmation(payload);
    this.#state = { kind: "open", client, windowBytes, maxPacketBytes: Math.min(maxPacket, maxPacketBytes) };
    this.#open.resolve(true);
    if (this.#unwanted) this.close();
    else this.#sendSome();
  }

  #data(data: Uint8Array, state: State): void {
    this.#consumed += data.length;
    if (this.#consumed > maxClientChannelBytes)
      throw new transportErrors.PEER_UNEXPECTED_MESSAGE("data beyond the window");
    if (state.kind !== "open") return;
    this.#options.data(data);
    if (this.#consumed < maxClientChannelBytes / 2) return;
    this.#options.send(encodeWindowAdjust({ recipient: state.client, bytes: this.#consumed }));
    this.#consumed = 0;
  }

  #sendSome(): void {
    for (;;) {
      const state = this.#state;
      const [next] = this.#unsent;
      if (next === undefined || state.kind !== "open") return;
      const length = Math.min(next.length, state.windowBytes, state.maxPacketBytes);
      if (length === 0 && next.length > 0) return;
      state.windowBytes -= length;
      this.#options.send(encodeChannelData({ recipient: state.client, data: next.subarray(0, length) }));
      if (length === next.length) this.#unsent.shift();
      else this.#unsent[0] = next.subarray(length);
    }
  }
}

function unexpected(number: number): never {
  throw new transportErrors.PEER_UNEXPECTED_MESSAGE(`${messageName(number)} for a channel of ours`);
}

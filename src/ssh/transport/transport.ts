import { Buffer } from "node:buffer";
import type { Agreement } from "#ssh/algorithms";
import {
  decodeDisconnect,
  decodeExtInfo,
  decodeKexInit,
  decodePing,
  encodeDisconnect,
  encodeExtInfo,
  encodeIgnore,
  encodeKexInit,
  encodePong,
  encodeUnimplemented,
  type KexInit,
  messageName,
  MSG,
} from "#ssh/messages";
import { transportErrors } from "./errors.ts";
import type { TransportEvent, TransportOptions } from "./events.ts";
import { InboundFramer, OutboundFramer } from "./framer.ts";
import { type ExchangeStep, KeyExchange } from "./kex-state.ts";
import { type KeyMaterial, makeOpener, makeSealer, toClientLetters, toServerLetters } from "./keys.ts";
import { FLAG, guessedWrong, negotiate, type Negotiated } from "./negotiate.ts";
import { isForAbove, type PacketView, payloadOf } from "./packet-conn.ts";
import { bulkBytes, defaultRekeyLimits, rekeyIsDue } from "./rekey.ts";
import { VersionReader } from "./version.ts";

/**
 * Bytes of payloads that may wait for the end of a key exchange. Bulk data never waits here (whoever pipes asks `writable`
 * first); this holds replies, keepalives and one packet that was under way.
 */
export const maxQueuedDuringKexBytes: number = 512 * 1024;

/** What of a key exchange has passed. Between exchanges there is none. */
interface ExchangeProgress {
  /** Payload of our KEXINIT. */
  readonly ownInit: KexInit;
  readonly ownInitPayload: Uint8Array;
  negotiated?: Negotiated;
  exchange?: KeyExchange;
  /** The peer guessed wrong: its next kex packet is to be thrown away. */
  skipGuess: boolean;
  material?: KeyMaterial;
  /** NEWKEYS: ours is sent; theirs has come. */
  sentNewKeys: boolean;
  gotNewKeys: boolean;
}

/**
 * One SSH transport (RFC 4253) as an engine: no socket, no timer, no log. Bytes go in by `receive`, events come out by `next`,
 * bytes go out by `output`.
 */
export class Transport {
  readonly #options: TransportOptions;
  readonly #inbound = new InboundFramer();
  readonly #outbound: OutboundFramer;
  #version: VersionReader | undefined;
  #kex: ExchangeProgress | undefined;
  #closed = false;
  /** The owner works on something; until it answers, nothing more is read. */
  #waiting = false;
  #strict = false;
  #peerTakesExtInfo = false;
  #firstDone = false;
  #sessionId: Uint8Array | undefined;
  #hostKey: Uint8Array | undefined;
  #peerVersion = "";
  /** Of the direction to the client. */
  #cipher = "";
  /** Server: the first of our ciphers that the client offered both ways, and those that the client likes no better. */
  #cheapest: string | undefined;
  #lateCiphers: readonly string[] = [];
  #onCheapest = true;
  #keysSince: number;
  #now: number;
  readonly #events: TransportEvent[] = [];
  #queue: Uint8Array[] = [];
  #queuedBytes = 0;
  readonly #view: PacketView = {
    bytes: new Uint8Array(0),
    start: 0,
    end: 0,
    padding: 0,
    lender: this.#inbound,
  };
  readonly #packetEvent: TransportEvent = { kind: "packet", packet: this.#view };

  constructor(options: TransportOptions) {
    this.#options = options;
    this.#now = options.now;
    this.#keysSince = options.now;
    this.#outbound = new OutboundFramer(options.random);
    this.#version = new VersionReader(options.role === "client");
    this.#outbound.raw(Buffer.from(`${options.version}\r\n`, "latin1"));
    if (options.firstIgnore !== undefined) this.#kexSend(encodeIgnore(options.firstIgnore));
    this.#sendKexInit();
  }

  /** H of the first key exchange; throws BUG_ENGINE_MISUSED before. */
  get sessionId(): Uint8Array {
    if (this.#sessionId === undefined)
      throw new transportErrors.BUG_ENGINE_MISUSED("no session identifier yet");
    return this.#sessionId;
  }

  /** Host key blob of the latest exchange. */
  get hostKey(): Uint8Array {
    if (this.#hostKey === undefined) throw new transportErrors.BUG_ENGINE_MISUSED("no host key yet");
    return this.#hostKey;
  }

  get peerVersion(): string {
    return this.#peerVersion;
  }

  /** Whether a key exchange is under way, seen from what we may send. */
  get exchanging(): boolean {
    return this.#kex !== undefined && !this.#kex.sentNewKeys;
  }

  /** Whether any part of a key exchange is unfinished. */
  get rekeying(): boolean {
    return this.#kex !== undefined;
  }

  /** Whether the owner must answer an event before more can be read. */
  get waiting(): boolean {
    return this.#waiting;
  }

  /** Whether there are bytes to take by `output`. */
  get pending(): boolean {
    return this.#outbound.pending;
  }

  /** Bytes that `output` would give. */
  get pendingBytes(): number {
    return this.#outbound.pendingBytes;
  }

  /**
   * The cipher that carries bulk data to the client: as server, the first of ours that the client offered, which later key
   * exchanges move to; as client, the one chosen.
   */
  get bulkCipher(): string {
    return this.#cheapest ?? this.#cipher;
  }

  /** Whether received bytes or packets have not been shown yet. */
  get unread(): boolean {
    return this.#inbound.waiting;
  }

  /** Whether the rekey limits are reached and no exchange is under way: the owner calls `rekey()` when it suits. */
  get rekeyDue(): boolean {
    if (this.#kex !== undefined || this.#closed) return false;
    const limits = this.#options.rekey ?? defaultRekeyLimits;
    const bytes = this.#onCheapest ? limits.bytes : Math.min(limits.bytes, bulkBytes);
    return rekeyIsDue({ ...limits, bytes }, this.#inbound, this.#outbound, this.#now - this.#keysSince);
  }

  /** Adds received bytes; see InboundFramer.receive for what may be overwritten. */
  receive(bytes: Uint8Array, start = 0, end: number = bytes.length): void {
    if (!this.#closed) this.#inbound.receive(bytes, start, end);
  }

  /** The caller's buffer is about to be reused: copies aside what has not been shown. */
  hold(): void {
    this.#inbound.hold();
  }

  /** Time passes: milliseconds of the clock given at the start. */
  tick(now: number): void {
    this.#now = now;
  }

  /**
   * The next event, or undefined when more bytes, an answer or admission are needed. `admit` false: packets for the layers above
   * stay where they are, while key exchanges go on. Throws PosternErrors that blame the peer; the engine is closed then.
   */
  next(admit: boolean): TransportEvent | undefined {
    const event = this.#events.shift();
    if (event !== undefined) return event;
    if (this.#closed || this.#waiting) return undefined;
    if (this.#version !== undefined) return this.#readVersion(this.#version);
    // After the peer's KEXINIT its keys may change at any packet; then one is opened at a time.
    while (this.#inbound.next(this.#view, this.#kex?.negotiated !== undefined)) {
      const number = this.#view.bytes[this.#view.start] ?? 0;
      if (isForAbove(number)) {
        this.#expectAdmitted(number);
        if (admit) return this.#packetEvent;
        this.#inbound.putBack();
        return undefined;
      }
      this.#take(number);
      const told = this.#events.shift();
      if (told !== undefined) return told;
      if (this.#closed || this.#waiting) return undefined;
    }
    return undefined;
  }

  /** Sends one payload; while keys are being exchanged it waits. Throws PEER_FLOODED when too much waits. */
  send(payload: Uint8Array): void {
    if (this.#closed) return;
    if (!this.exchanging) {
      this.#outbound.payload(payload, 0, payload.length);
      return;
    }
    this.#queuedBytes += payload.length;
    if (this.#queuedBytes > maxQueuedDuringKexBytes) throw new transportErrors.PEER_FLOODED();
    this.#queue.push(Uint8Array.from(payload));
  }

  /** Sends a packet opened elsewhere. */
  forward(packet: PacketView): void {
    if (this.exchanging) this.send(payloadOf(packet));
    else if (!this.#closed) this.#outbound.forward(packet);
  }

  /** Sealed bytes to write, in order; each piece goes back by `releaseOutput`. */
  output(): Uint8Array[] {
    return this.#outbound.take();
  }

  /** Begins a key exchange, unless one is under way. */
  rekey(): void {
    if (!this.#closed && this.#kex === undefined && this.#firstDone) this.#sendKexInit();
  }

  /** Sends SSH_MSG_DISCONNECT and closes the engine; `output` still holds the last bytes. */
  disconnect(reason: number, description: string): void {
    if (this.#closed) return;
    const payload = encodeDisconnect({ reason, description });
    this.#outbound.payload(payload, 0, payload.length);
    this.close();
  }

  /** Drops keys and input; output that was gathered stays to be taken. */
  close(): void {
    this.#closed = true;
    this.#queue = [];
    this.#inbound.wipe();
  }

  signed(signature: Uint8Array): void {
    this.#answer((exchange) => exchange.signed(signature));
  }

  agreed(agreement: Agreement): void {
    this.#answer((exchange) => exchange.agreed(agreement));
  }

  hostKeyAccepted(): void {
    this.#answer((exchange) => exchange.hostKeyAccepted());
  }

  #readVersion(reader: VersionReader): TransportEvent | undefined {
    let line: string | undefined;
    this.#inbound.takeRaw((bytes, start, end) => {
      const read = reader.read(bytes, start, end);
      line = read.line;
      return read.offset;
    });
    if (line === undefined) return undefined;
    this.#version = undefined;
    this.#peerVersion = line;
    return { kind: "version", line };
  }

  /** A transport message (RFC 4250, section 4.1.1: 1 to 49) or a ping. */
  #take(number: number): void {
    const payload = payloadOf(this.#view);
    if (
      this.#strict &&
      !this.#firstDone &&
      !(number >= MSG.KEXINIT && number <= 49) &&
      number !== MSG.DISCONNECT
    ) {
      // Strict key exchange: nothing else is due before the first NEWKEYS (PROTOCOL of OpenSSH, section 1.10).
      throw new transportErrors.PEER_UNEXPECTED_MESSAGE(`${messageName(number)} before the first NEWKEYS`);
    }
    switch (number) {
      case MSG.DISCONNECT: {
        this.#events.push({ kind: "disconnected", ...decodeDisconnect(payload) });
        this.close();
        return;
      }
      case MSG.IGNORE:
      case MSG.DEBUG:
      case MSG.UNIMPLEMENTED:
        return;
      case MSG.EXT_INFO:
        if (!this.#firstDone) this.#unexpected(number);
        this.#events.push({ kind: "extensions", extensions: decodeExtInfo(payload) });
        return;
      case MSG.PING:
        this.#expectAdmitted(number);
        this.send(encodePong(decodePing(payload)));
        return;
      case MSG.PONG:
        this.#expectAdmitted(number);
        return;
      case MSG.KEXINIT:
        this.#takeKexInit(Uint8Array.from(payload));
        return;
      case MSG.NEWKEYS:
        this.#takeNewKeys(payload);
        return;
      default:
        if (number >= 30 && number <= 49) this.#takeKexMessage(number, Uint8Array.from(payload));
        else this.send(encodeUnimplemented(this.#inbound.sequence));
    }
  }

  /**
   * Messages of the layers above are not due before the first key exchange. Between the peer's later KEXINITs and its NEWKEYS they
   * are not due either (RFC 4253, section 7.1), but asyncssh sends them, OpenSSH takes them, and the old keys still protect them.
   */
  #expectAdmitted(number: number): void {
    if (!this.#firstDone) this.#unexpected(number);
  }

  #unexpected(number: number): never {
    throw new transportErrors.PEER_UNEXPECTED_MESSAGE(`${messageName(number)} during a key exchange`);
  }

  #sendKexInit(): void {
    const { role, algorithms, random, firstIgnore } = this.#options;
    const first = !this.#firstDone;
    const flags: string[] = role === "server" ? [FLAG.strictServer] : [FLAG.extInfoClient, FLAG.strictClient];
    if (firstIgnore !== undefined) flags.pop();
    const ciphers = this.#lateCiphers.length > 0 ? this.#lateCiphers : algorithms.ciphers;
    const ownInit: KexInit = {
      cookie: random(16),
      kex: first ? [...algorithms.kex, ...flags] : algorithms.kex,
      hostKeys: algorithms.hostKeys,
      ciphersToServer: ciphers,
      ciphersToClient: ciphers,
      macsToServer: algorithms.macs,
      macsToClient: algorithms.macs,
      compressionToServer: ["none"],
      compressionToClient: ["none"],
      firstKexPacketFollows: false,
    };
    const ownInitPayload = encodeKexInit(ownInit);
    this.#kexSend(ownInitPayload);
    this.#kex = { ownInit, ownInitPayload, skipGuess: false, sentNewKeys: false, gotNewKeys: false };
  }

  #takeKexInit(payload: Uint8Array): void {
    if (this.#kex?.negotiated !== undefined) this.#unexpected(MSG.KEXINIT);
    const peerInit = decodeKexInit(payload);
    if (this.#kex === undefined) this.#sendKexInit();
    const kex = this.#kex;
    if (kex === undefined) throw new transportErrors.BUG_ENGINE_MISUSED();
    const server = this.#options.role === "server";
    const [clientInit, serverInit] = server ? [peerInit, kex.ownInit] : [kex.ownInit, peerInit];
    if (!this.#firstDone) {
      const strict = peerInit.kex.includes(server ? FLAG.strictClient : FLAG.strictServer);
      this.#strict = strict && this.#options.firstIgnore === undefined;
      this.#peerTakesExtInfo = peerInit.kex.includes(server ? FLAG.extInfoClient : FLAG.extInfoServer);
      if (server) this.#rankCiphers(peerInit);
      if (this.#strict && this.#inbound.sequence !== 0) {
        throw new transportErrors.PEER_UNEXPECTED_MESSAGE("KEXINIT was not the first packet");
      }
    }
    kex.negotiated = negotiate(clientInit, serverInit);
    kex.skipGuess = peerInit.firstKexPacketFollows && guessedWrong(clientInit, serverInit);
    const hostKey = server ? this.#options.hostKeys?.get(kex.negotiated.hostKey) : undefined;
    kex.exchange = new KeyExchange({
      role: this.#options.role,
      negotiated: kex.negotiated,
      clientVersion: server ? this.#peerVersion : this.#options.version,
      serverVersion: server ? this.#options.version : this.#peerVersion,
      clientInit: server ? payload : kex.ownInitPayload,
      serverInit: server ? kex.ownInitPayload : payload,
      ...(hostKey === undefined ? {} : { hostKey }),
      ...(this.#sessionId === undefined ? {} : { sessionId: this.#sessionId }),
      random: this.#options.random,
      send: (message) => this.#kexSend(message),
    });
  }

  /** The client's order decides, so what it likes better than our first is left out of later offers. */
  #rankCiphers({ ciphersToServer, ciphersToClient }: KexInit): void {
    const { ciphers } = this.#options.algorithms;
    this.#cheapest = ciphers.find((name) => ciphersToServer.includes(name) && ciphersToClient.includes(name));
    if (this.#cheapest === undefined) return;
    const better = [ciphersToServer, ciphersToClient].flatMap((names) =>
      names.slice(0, names.indexOf(this.#cheapest ?? "")),
    );
    this.#lateCiphers = ciphers.filter((name) => !better.includes(name));
  }

  #takeKexMessage(number: number, payload: Uint8Array): void {
    const kex = this.#kex;
    if (kex?.exchange === undefined) this.#unexpected(number);
    if (kex.skipGuess) {
      kex.skipGuess = false;
      return;
    }
    const step = kex.exchange.receive(payload);
    if (step !== undefined) this.#step(kex, step);
  }

  #answer(answer: (exchange: KeyExchange) => ExchangeStep): void {
    if (this.#closed) return;
    const kex = this.#kex;
    if (kex?.exchange === undefined || !this.#waiting)
      throw new transportErrors.BUG_ENGINE_MISUSED("no answer is due");
    this.#waiting = false;
    this.#step(kex, answer(kex.exchange));
  }

  #step(kex: ExchangeProgress, step: ExchangeStep): void {
    const algorithm = kex.negotiated?.hostKey ?? "";
    switch (step.kind) {
      case "need-secret":
        this.#waiting = true;
        this.#events.push(step);
        return;
      case "need-signature": {
        const hostKey = this.#options.hostKeys?.get(algorithm);
        if (hostKey === undefined)
          throw new transportErrors.BUG_ENGINE_MISUSED(`no host key for ${algorithm}`);
        this.#waiting = true;
        this.#events.push({ kind: "need-signature", hostKey, algorithm, data: step.data });
        return;
      }
      case "need-host-key":
        this.#waiting = true;
        this.#events.push({ ...step, algorithm });
        return;
      case "agreed":
        kex.material = step.material;
        this.#hostKey = step.hostKey;
        this.#sessionId = step.material.sessionId;
        this.#sendNewKeys(kex, step.material);
    }
  }

  #sendNewKeys(kex: ExchangeProgress, material: KeyMaterial): void {
    if (kex.negotiated === undefined) throw new transportErrors.BUG_ENGINE_MISUSED();
    this.#kexSend(Uint8Array.of(MSG.NEWKEYS));
    const server = this.#options.role === "server";
    const letters = server ? toClientLetters : toServerLetters;
    const algorithms = server ? kex.negotiated.toClient : kex.negotiated.toServer;
    this.#outbound.install(makeSealer(material, letters, algorithms), this.#strict);
    kex.sentNewKeys = true;
    // RFC 8308, section 2.4: the first packet after the first NEWKEYS.
    if (!this.#firstDone && this.#peerTakesExtInfo) this.#kexSend(encodeExtInfo(this.#options.extensions));
    this.#sendQueue();
    this.#finishKex(kex);
  }

  #takeNewKeys(payload: Uint8Array): void {
    const kex = this.#kex;
    if (
      kex?.material === undefined ||
      kex.negotiated === undefined ||
      kex.gotNewKeys ||
      payload.length !== 1
    ) {
      this.#unexpected(MSG.NEWKEYS);
    }
    const server = this.#options.role === "server";
    const letters = server ? toServerLetters : toClientLetters;
    const algorithms = server ? kex.negotiated.toServer : kex.negotiated.toClient;
    this.#inbound.install(makeOpener(kex.material, letters, algorithms), this.#strict);
    kex.gotNewKeys = true;
    this.#finishKex(kex);
  }

  #finishKex(kex: ExchangeProgress): void {
    if (!kex.sentNewKeys || !kex.gotNewKeys || kex.negotiated === undefined) return;
    const first = !this.#firstDone;
    this.#firstDone = true;
    this.#kex = undefined;
    this.#cipher = kex.negotiated.toClient.cipher;
    const { toServer, toClient } = kex.negotiated;
    this.#onCheapest = [toServer.cipher, toClient.cipher].every((name) => name === (this.#cheapest ?? name));
    this.#keysSince = this.#now;
    kex.material?.secret.fill(0);
    this.#events.push({ kind: "kex-done", first, negotiated: kex.negotiated });
  }

  #sendQueue(): void {
    const queue = this.#queue;
    this.#queue = [];
    this.#queuedBytes = 0;
    for (const payload of queue) this.#outbound.payload(payload, 0, payload.length);
  }

  /** Key exchange messages never wait. */
  #kexSend(payload: Uint8Array): void {
    this.#outbound.payload(payload, 0, payload.length);
  }
}

import { Buffer } from "node:buffer";
import { sftpErrors } from "./errors.ts";
import { FXP } from "./numbers.ts";

/** The longest packet: OpenSSH takes and sends 256 KiB; a little more for those who count the data alone. */
export const maxSftpPacketBytes: number = 257 * 1024;

/** draft-ietf-secsh-filexfer-02, section 6.2. */
export const maxSftpHandleBytes = 256;

/** Who is shown the packets of one direction. */
export interface PacketSink {
  /**
   * One packet without its length; of WRITE and DATA the part before the data, which says how many there are; `bodyBytes` follow,
   * mostly as many. Valid during the call.
   * True: it goes on as it is. False: it does not, nor its data.
   */
  packet(packet: Uint8Array, bodyBytes: number): boolean;
  /** Some of the data, whether they go on or not. Valid during the call. */
  body(data: Uint8Array): void;
  /** The data are complete. */
  bodyEnd(): void;
  /** Bytes that go on, in order. Valid during the call. */
  output(bytes: Uint8Array): void;
}

/**
 * One direction of an SFTP channel: finds the packets in its stream of bytes, shows them, and puts what goes on and what is added
 * together again, never one packet into the middle of another. Bulk data are shown as they come and never collected; a chunk
 * in which nothing changes need not be copied.
 */
export class PacketStream {
  readonly #sink: PacketSink;
  readonly #bulkType: number;
  /** Beginning of a packet whose rest is not there yet. */
  #partial: Buffer = Buffer.alloc(0);
  #partialBytes = 0;
  #bodyLeft = 0;
  #bodyDropped = false;
  #blocked = false;
  /** Nothing is looked at any more. */
  #letGo = false;
  #scanning = false;
  /** The chunk being looked at; of it, what goes on and has not been put out; and how far we are. */
  #chunk: Uint8Array | undefined;
  #from = 0;
  #at = 0;
  #touched = false;
  /** Not looked at yet. */
  #backlog: Uint8Array[] = [];
  #backlogBytes = 0;
  /** To be put out behind the data that are on their way. */
  #inserts: Uint8Array[] = [];
  #insertBytes = 0;

  /** `by`: who sends in this direction. */
  constructor(by: "client" | "server", sink: PacketSink) {
    this.#sink = sink;
    this.#bulkType = by === "client" ? FXP.WRITE : FXP.DATA;
  }

  /** Bytes that are kept here. */
  get heldBytes(): number {
    return this.#partialBytes + this.#backlogBytes + this.#insertBytes;
  }

  /** Bytes that came and have not been looked at. */
  get waiting(): boolean {
    return this.#backlogBytes > 0;
  }

  /** Nothing is kept here, and nothing is half done. */
  get idle(): boolean {
    return this.heldBytes === 0 && this.#bodyLeft === 0;
  }

  /**
   * The next bytes, valid during the call. True: all of them go on just as they are, and none has been put out; false: what goes
   * on has been. Throws PEER_SFTP_PACKET_SIZE, and whatever the sink throws.
   */
  feed(chunk: Uint8Array): boolean {
    if (this.#letGo) return true;
    if (this.#scanning || this.#backlog.length > 0 || this.#halted) {
      this.#keep(chunk);
      return false;
    }
    const untouched = this.#scan(chunk);
    if (this.#backlog.length === 0) return untouched;
    if (untouched) this.#sink.output(chunk);
    this.#work();
    return false;
  }

  /** Stops at the end of the packet that is being shown; later bytes wait. */
  block(): void {
    this.#blocked = true;
  }

  get blocked(): boolean {
    return this.#blocked;
  }

  /** Goes on with what waits. Throws as `feed`. */
  unblock(): void {
    this.#blocked = false;
    if (!this.#scanning) this.#work();
  }

  /** From here on everything goes on as it comes, unread. */
  letGo(): void {
    this.#letGo = true;
    if (this.#partialBytes > 0) this.#sink.output(this.#partial.subarray(0, this.#partialBytes));
    this.#partialBytes = 0;
    for (const chunk of this.#backlog.splice(0)) this.#sink.output(chunk);
    this.#backlogBytes = 0;
  }

  /** Puts a packet of our own between those that pass (not copied: it must stay as it is). */
  emit(packet: Uint8Array): void {
    if (this.#bodyLeft > 0 && !this.#bodyDropped) {
      this.#inserts.push(packet);
      this.#insertBytes += packet.length;
      return;
    }
    this.#flush();
    this.#sink.output(packet);
  }

  /** Data that are on their way go on all the same. */
  get #halted(): boolean {
    return this.#blocked && this.#bodyLeft === 0;
  }

  #keep(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#backlog.push(Buffer.from(bytes));
    this.#backlogBytes += bytes.length;
  }

  #work(): void {
    while (!this.#halted && this.#backlog.length > 0) {
      const rest = this.#backlog;
      this.#backlog = [];
      this.#backlogBytes = 0;
      for (const [at, chunk] of rest.entries()) {
        if (this.#halted || this.#backlog.length > 0) {
          for (const late of rest.slice(at)) this.#keep(late);
          break;
        }
        if (this.#scan(chunk)) this.#sink.output(chunk);
      }
    }
  }

  #scan(chunk: Uint8Array): boolean {
    this.#chunk = chunk;
    this.#from = 0;
    this.#at = 0;
    this.#touched = false;
    this.#scanning = true;
    try {
      while (this.#at < chunk.length) {
        if (this.#letGo) this.#at = chunk.length;
        else if (this.#bodyLeft > 0) this.#body(chunk);
        else if (this.#blocked) {
          this.#flush();
          this.#keep(chunk.subarray(this.#at));
          this.#skipTo(chunk.length);
        } else if (this.#partialBytes > 0) this.#complete(chunk);
        else this.#head(chunk);
      }
      if (this.#touched) this.#flush();
      return !this.#touched;
    } finally {
      this.#scanning = false;
      this.#chunk = undefined;
    }
  }

  /** Puts out what goes on of the chunk so far. */
  #flush(): void {
    if (this.#chunk === undefined) return;
    this.#touched = true;
    const from = this.#from;
    const to = this.#at;
    this.#from = to;
    if (to > from) this.#sink.output(this.#chunk.subarray(from, to));
  }

  /** What lies before `at` does not go on. */
  #skipTo(at: number): void {
    this.#touched = true;
    this.#at = at;
    this.#from = at;
  }

  #body(chunk: Uint8Array): void {
    const end = Math.min(chunk.length, this.#at + this.#bodyLeft);
    this.#sink.body(chunk.subarray(this.#at, end));
    this.#bodyLeft -= end - this.#at;
    if (this.#bodyDropped) {
      this.#flush();
      this.#skipTo(end);
    } else this.#at = end;
    if (this.#bodyLeft === 0) this.#endBody();
  }

  #endBody(): void {
    this.#bodyDropped = false;
    this.#sink.bodyEnd();
    const inserts = this.#inserts;
    if (inserts.length === 0) return;
    this.#inserts = [];
    this.#insertBytes = 0;
    this.#flush();
    for (const packet of inserts) this.#sink.output(packet);
  }

  /** A packet that begins in this chunk. */
  #head(chunk: Uint8Array): void {
    const at = this.#at;
    const have = chunk.length - at;
    const wanted = this.#wanted(chunk, at, have);
    if (have < wanted) {
      this.#flush();
      this.#gather(chunk.subarray(at), wanted);
      this.#skipTo(chunk.length);
      return;
    }
    const passes = this.#show(chunk, at, wanted);
    if (passes) this.#at = at + wanted;
    else {
      this.#flush();
      this.#skipTo(at + wanted);
    }
    if (this.#bodyLeft === 0) this.#endIfBulk(chunk[at + 4]);
  }

  /** A packet that began in an earlier chunk. */
  #complete(chunk: Uint8Array): void {
    const wanted = this.#wanted(this.#partial, 0, this.#partialBytes);
    const more = Math.min(wanted - this.#partialBytes, chunk.length - this.#at);
    this.#gather(chunk.subarray(this.#at, this.#at + more), wanted);
    this.#skipTo(this.#at + more);
    if (this.#partialBytes < wanted || this.#wanted(this.#partial, 0, this.#partialBytes) > wanted) return;
    const packet = this.#partial.subarray(0, wanted);
    this.#partial = Buffer.alloc(0);
    this.#partialBytes = 0;
    if (this.#show(packet, 0, wanted)) this.#sink.output(packet);
    if (this.#bodyLeft === 0) this.#endIfBulk(packet[4]);
  }

  #endIfBulk(type: number | undefined): void {
    if (type === this.#bulkType) this.#endBody();
  }

  #gather(bytes: Uint8Array, wanted: number): void {
    const length = this.#partialBytes + bytes.length;
    if (this.#partial.length < length) {
      // As much as there is, not as much as is promised.
      const grown = Buffer.allocUnsafe(Math.min(wanted, Math.max(length, 2 * this.#partial.length)));
      grown.set(this.#partial.subarray(0, this.#partialBytes));
      this.#partial = grown;
    }
    this.#partial.set(bytes, this.#partialBytes);
    this.#partialBytes = length;
  }

  #show(bytes: Uint8Array, at: number, length: number): boolean {
    const bulk = bytes[at + 4] === this.#bulkType;
    const bodyBytes = bulk ? u32(bytes, at) + 4 - length : 0;
    // Told by the packet itself too, as the last field before the data. Go's client sends more bytes than it says there.
    if (bulk && u32(bytes, at + length - 4) > bodyBytes)
      throw new sftpErrors.PEER_SFTP_PACKET_SIZE("data of another length than said");
    const passes = this.#sink.packet(bytes.subarray(at + 4, at + length), bodyBytes);
    this.#bodyLeft = bodyBytes;
    this.#bodyDropped = !passes;
    return passes;
  }

  /** Bytes from `at` on without which we cannot go on: the whole packet, or its part before the data. */
  #wanted(bytes: Uint8Array, at: number, have: number): number {
    if (have < 5) return 5;
    const length = u32(bytes, at);
    if (length < 5 || length > maxSftpPacketBytes)
      throw new sftpErrors.PEER_SFTP_PACKET_SIZE(`${length} bytes`);
    if (bytes[at + 4] !== this.#bulkType) return 4 + length;
    if (this.#bulkType === FXP.DATA) return this.#checked(13, length);
    if (have < 13) return this.#checked(13, length);
    const handleBytes = u32(bytes, at + 9);
    if (handleBytes > maxSftpHandleBytes)
      throw new sftpErrors.PEER_SFTP_PACKET_SIZE(`a handle of ${handleBytes} bytes`);
    return this.#checked(25 + handleBytes, length);
  }

  #checked(headBytes: number, length: number): number {
    if (headBytes > 4 + length) throw new sftpErrors.PEER_SFTP_PACKET_SIZE(`${length} bytes`);
    return headBytes;
  }
}

function u32(bytes: Uint8Array, at: number): number {
  return (
    (((bytes[at] ?? 0) << 24) |
      ((bytes[at + 1] ?? 0) << 16) |
      ((bytes[at + 2] ?? 0) << 8) |
      (bytes[at + 3] ?? 0)) >>>
    0
  );
}

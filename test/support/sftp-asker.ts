import {
  decodeSftpHello,
  decodeSftpReply,
  encodeSftpHello,
  encodeSftpRequest,
  FXP,
  PacketStream,
  type SftpHello,
  type SftpReply,
  type SftpRequest,
} from "#ssh/sftp";

/** A request without its number. */
export type Asking = SftpRequest extends infer One
  ? One extends SftpRequest
    ? Omit<One, "id">
    : never
  : never;

/** A reply, and the data of those that have some. */
export type Answer = SftpReply & { readonly bulk?: Buffer };

/** A client of SFTP that asks and takes the answers, of whatever takes its bytes. */
export class SftpAsker {
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  readonly #greeted: PromiseWithResolvers<SftpHello> = Promise.withResolvers();
  readonly #incoming: PacketStream;
  readonly failure: PromiseWithResolvers<Error> = Promise.withResolvers();
  /** Everything that the client was sent, as it came. */
  seen: (bytes: Buffer) => void = () => {};
  #send: (bytes: Uint8Array) => void = () => {};
  #nextId = 1;
  #data: Buffer[] = [];
  #bulk: { readonly reply: SftpReply } | undefined;

  constructor() {
    this.#incoming = new PacketStream("server", {
      packet: (packet) => {
        this.#packet(packet);
        return false;
      },
      body: (data) => this.#data.push(Buffer.from(data)),
      bodyEnd: () => this.#bodyEnd(),
      output: () => {},
    });
  }

  /** Where its bytes go. */
  protected sendBy(send: (bytes: Uint8Array) => void): void {
    this.#send = send;
  }

  /** Bytes for the client. */
  protected take(bytes: Uint8Array): void {
    this.seen(Buffer.from(bytes));
    this.#incoming.feed(Uint8Array.from(bytes));
  }

  protected async greet(): Promise<void> {
    this.send(encodeSftpHello(FXP.INIT));
    await Promise.race([this.#greeted.promise, this.failure.promise.then((error) => Promise.reject(error))]);
  }

  get greeting(): Promise<SftpHello> {
    return this.#greeted.promise;
  }

  /** Bytes as a client would send them. */
  send(bytes: Uint8Array): void {
    this.#send(bytes);
  }

  /** Sends a request at once; the answer comes when it comes. */
  async ask(request: Asking, data?: Uint8Array): Promise<Answer> {
    const id = this.#nextId++;
    const answer = new Promise<Answer>((resolve) => this.#waiting.set(id, resolve));
    const head = encodeSftpRequest({ ...request, id });
    this.send(data === undefined ? head : Buffer.concat([head, data]));
    return await answer;
  }

  #packet(packet: Uint8Array): void {
    if (packet[0] === FXP.VERSION) {
      this.#greeted.resolve(decodeSftpHello(packet));
      return;
    }
    const reply = decodeSftpReply(packet);
    if (reply.kind === "data") this.#bulk = { reply };
    else this.#settle(reply);
  }

  #bodyEnd(): void {
    const data = Buffer.concat(this.#data.splice(0));
    const reply = this.#bulk?.reply;
    this.#bulk = undefined;
    if (reply !== undefined) this.#settle({ ...reply, bulk: data });
  }

  #settle(answer: Answer): void {
    const resolve = this.#waiting.get(answer.id);
    if (resolve === undefined) throw new Error(`an answer to nothing: ${JSON.stringify(answer.kind)}`);
    this.#waiting.delete(answer.id);
    resolve(answer);
  }
}

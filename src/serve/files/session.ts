import type { PosternError } from "#base";
import type { FilesEnd } from "#contract";
import type { Channel, ChannelOffer, IncomingRequest } from "#ssh/connection";
import { decodeExecRequest, decodeSubsystemRequest } from "#ssh/messages";
import type { FilesClient } from "./files.ts";

const statusFailed = 1;

/** Characters of a client's own words in a line of the audit. */
const maxSaidChars = 1024;

/** One session channel: SFTP runs on it, or nothing does. */
export class FilesSession {
  readonly #client: FilesClient;
  readonly #channel: Channel;
  #started = false;
  #end: FilesEnd | undefined;
  /** The client has nothing more to say. */
  #heardAll = false;

  constructor(offer: ChannelOffer, client: FilesClient) {
    this.#client = client;
    this.#channel = offer.accept({ request: (request) => this.#request(request) });
    void this.#channel.over.then(() => this.#end?.close());
  }

  #request({ type, data }: IncomingRequest): boolean {
    const { desk, audit } = this.#client;
    if (type !== "shell" && type !== "exec" && type !== "subsystem") return false;
    if (this.#started) return false;
    this.#started = true;
    const subsystem = type === "subsystem" ? decodeSubsystemRequest(data).slice(0, maxSaidChars) : undefined;
    const command =
      type === "exec"
        ? Buffer.from(decodeExecRequest(data)).toString("utf8").slice(0, maxSaidChars)
        : undefined;
    const asked = subsystem === "sftp" ? "sftp" : type;
    const reason = desk.refusal(asked);
    const outcome = reason === undefined ? "allowed" : "refused";
    audit?.({
      event: "request",
      type,
      outcome,
      channel: this.#channel.core.ends.theirs,
      command,
      subsystem,
      reason,
    });
    // Not by a failure: ssh shows no words of ours after one. And the reply leaves before the first byte of output.
    void Promise.resolve().then(() => (reason === undefined ? this.#open() : this.#refuse(reason)));
    return true;
  }

  #refuse(reason: string): void {
    this.#channel.resume();
    this.#finish(`${reason}\n`);
  }

  #finish(text: string): void {
    if (text !== "" && this.#channel.stderr.writable) this.#channel.stderr.write(text);
    void this.#channel.finish({ status: text === "" ? 0 : statusFailed });
  }

  #open(): void {
    const channel = this.#channel;
    const end = this.#client.desk.open({
      number: channel.core.ends.theirs,
      toClient: (bytes) => void channel.write(bytes),
      queuedBytes: () => channel.writableLength,
      tell: (text) => {
        if (channel.stderr.writable) channel.stderr.write(`${text}\r\n`);
      },
      progressed: () => this.#progressed(),
      failed: (error) => this.#failed(error),
    });
    this.#end = end;
    channel.readLent((bytes) => {
      end.fromClient(bytes);
      if (end.full) channel.pause();
    });
    channel.on("drain", () => end.drained());
    channel.once("end", () => {
      this.#heardAll = true;
      this.#progressed();
    });
  }

  #progressed(): void {
    const end = this.#end;
    if (end === undefined) return;
    if (this.#heardAll && end.idle) {
      end.close();
      this.#end = undefined;
      this.#finish("");
    } else if (!end.full && this.#channel.isPaused()) this.#channel.resume();
  }

  #failed(error: PosternError): void {
    this.#end = undefined;
    this.#channel.resume();
    this.#finish(`${error.user.replace("The other side", "Your program")}\n`);
  }
}

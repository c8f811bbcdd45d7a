import type { Clock } from "#base";
import type { Channel, ChannelOffer, Exit, IncomingRequest } from "#ssh/connection";
import {
  decodeEnvRequest,
  decodeExecRequest,
  decodePtyRequest,
  decodeSignalRequest,
  decodeTerminalModes,
  decodeWindowChange,
} from "#ssh/messages";
import { type CommandContext, type LineResult, runLine, statusInterrupted } from "./commands.ts";
import { LineEditor } from "./line-editor.ts";
import { LineQueue } from "./line-queue.ts";

/** Variables that one session may set, and the bytes of each. */
export const maxVariables = 64;
export const maxVariableBytes = 4096;
/** Bytes of a line without its end, where there is no terminal to edit it on. */
export const maxLineBytes = 4096;

/** The mode ECHO of RFC 4254, section 8. */
const modeEcho = 53;
const prompt = "demo$ ";

/** Of a shell that failed by our own fault. */
const statusBroken = 255;

/** Signals that end a session; INT is Ctrl-C. */
const fatalSignals = ["HUP", "TERM", "KILL", "QUIT"];

interface Terminal {
  columns: number;
  rows: number;
  readonly echo: boolean;
}

export interface SessionOptions {
  readonly user: string;
  readonly clock: Clock;
  /** Told once, when an interactive shell begins. */
  readonly greeting: string;
}

/** One session channel with a toy shell in it: starts no process and touches no file. */
export class Session {
  readonly #options: SessionOptions;
  readonly #channel: Channel;
  readonly #environment = new Map<string, string>();
  readonly #lines = new LineQueue();
  /** The client is gone, or has sent a signal that ends us. */
  readonly #over = new AbortController();
  /** Of the command that runs; aborted by Ctrl-C. */
  #running: AbortController | undefined;
  #terminal: Terminal | undefined;
  #started = false;
  #killedBy: string | undefined;

  constructor(offer: ChannelOffer, options: SessionOptions) {
    this.#options = options;
    this.#channel = offer.accept({ request: (request) => this.#request(request) });
    // Nothing here fails that the client does not see anyhow.
    void this.#channel.over.then(() => this.#stop());
  }

  #request({ type, data }: IncomingRequest): boolean {
    switch (type) {
      case "env":
        return this.#setVariable(data);
      case "pty-req": {
        if (this.#started || this.#terminal !== undefined) return false;
        const { term, columns, rows, modes } = decodePtyRequest(data);
        this.#terminal = { columns, rows, echo: decodeTerminalModes(modes).get(modeEcho) !== 0 };
        this.#environment.set("TERM", term);
        return true;
      }
      case "window-change": {
        const { columns, rows } = decodeWindowChange(data);
        if (this.#terminal !== undefined) Object.assign(this.#terminal, { columns, rows });
        return this.#terminal !== undefined;
      }
      case "signal":
        return this.#signal(decodeSignalRequest(data));
      case "shell":
        return this.#start(() => this.#shell());
      case "exec": {
        const line = Buffer.from(decodeExecRequest(data)).toString("utf8");
        return this.#start(() => this.#exec(line));
      }
      case "subsystem":
        this.#channel.stderr.write("This demo has no files, so there is no sftp here.\n");
        return false;
      default:
        return false;
    }
  }

  #setVariable(data: Uint8Array): boolean {
    const { name, value } = decodeEnvRequest(data);
    if (this.#started || this.#environment.size >= maxVariables || !/^\w+$/.test(name)) return false;
    if (name.length + value.length > maxVariableBytes) return false;
    this.#environment.set(name, Buffer.from(value).toString("utf8"));
    return true;
  }

  #signal(name: string): boolean {
    if (!this.#started) return false;
    if (name === "INT") this.#interrupt();
    else if (fatalSignals.includes(name)) {
      this.#killedBy = name;
      this.#stop();
    } else return false;
    return true;
  }

  #start(program: () => Promise<number>): boolean {
    if (this.#started) return false;
    this.#started = true;
    void this.#run(program);
    return true;
  }

  async #run(program: () => Promise<number>): Promise<void> {
    // The reply to the request leaves before the first byte of output.
    await Promise.resolve();
    if (this.#terminal !== undefined) this.#readTerminal(this.#terminal).catch(() => this.#stop());
    const status = await program().catch(() => statusBroken);
    const exit: Exit =
      this.#killedBy === undefined ? { status } : { signal: this.#killedBy, coreDumped: false, message: "" };
    await this.#channel.finish(exit);
  }

  async #exec(line: string): Promise<number> {
    const { status } = await this.#runLine(line, (signal) =>
      this.#terminal === undefined ? this.#bytes(signal) : this.#input(),
    );
    return status;
  }

  async #shell(): Promise<number> {
    const terminal = this.#terminal !== undefined;
    if (terminal) await this.#write(this.#options.greeting);
    else this.#readLines().catch(() => this.#stop());
    let status = 0;
    while (!this.#over.signal.aborted) {
      if (terminal) await this.#write(prompt);
      const item = await this.#lines.take();
      if (item === "end") {
        if (terminal) await this.#write("logout\n");
        break;
      }
      if (item === "interrupt") continue;
      const result = await this.#runLine(item.line, () => this.#input());
      status = result.status;
      if (result.exit) break;
    }
    return status;
  }

  async #runLine(
    line: string,
    input: (signal: AbortSignal) => AsyncIterable<Uint8Array>,
  ): Promise<LineResult> {
    const running = new AbortController();
    const signal = AbortSignal.any([running.signal, this.#over.signal]);
    this.#running = running;
    const context: CommandContext = {
      user: this.#options.user,
      environment: this.#environment,
      size: this.#terminal,
      clock: this.#options.clock,
      signal,
      out: (data) => this.#write(data),
      error: (data) => this.#writeError(data),
      input: () => input(signal),
    };
    const result = await runLine(line, context);
    this.#running = undefined;
    return running.signal.aborted ? { status: statusInterrupted, exit: false } : result;
  }

  #interrupt(): void {
    this.#running?.abort();
    this.#lines.interrupt();
  }

  #stop(): void {
    this.#over.abort();
    this.#lines.close();
  }

  /** What the person types, through the line editor, for as long as the session lasts. */
  async #readTerminal(terminal: Terminal): Promise<void> {
    const editor = new LineEditor({
      echo: terminal.echo,
      show: (text) => void this.#write(text),
      line: (text) => this.#lines.put(`${text}\n`),
      interrupt: () => this.#interrupt(),
      end: () => this.#lines.end(),
    });
    editor.prompt = prompt;
    for await (const chunk of this.#bytes()) {
      editor.feed(chunk);
      await this.#lines.whenRoom();
      await this.#whenWritable();
    }
    this.#lines.close();
  }

  /** Lines as they come, where there is no terminal. */
  async #readLines(): Promise<void> {
    let rest = "";
    const decoder = new TextDecoder("utf-8");
    for await (const chunk of this.#bytes()) {
      rest += decoder.decode(chunk, { stream: true });
      for (let end = rest.indexOf("\n"); end >= 0; end = rest.indexOf("\n")) {
        this.#lines.put(rest.slice(0, end + 1));
        rest = rest.slice(end + 1);
        await this.#lines.whenRoom();
      }
      // A line without end is cut: nobody types that.
      if (rest.length > maxLineBytes) {
        this.#lines.put(rest);
        rest = "";
      }
    }
    if (rest !== "") this.#lines.put(rest);
    this.#lines.close();
  }

  /** The channel's bytes up to EOF; ends early, without a throw, with the signal or when the channel does. */
  async *#bytes(signal: AbortSignal = this.#over.signal): AsyncGenerator<Uint8Array> {
    const stopped = Promise.withResolvers<"stopped">();
    signal.addEventListener("abort", () => stopped.resolve("stopped"), { once: true });
    const chunks: AsyncIterator<unknown> = this.#channel.iterator({ destroyOnReturn: false });
    while (!signal.aborted) {
      // A channel that is destroyed while it is read makes the iterator throw.
      const next = await Promise.race([chunks.next().catch(() => "stopped" as const), stopped.promise]);
      if (next === "stopped" || next.done === true) return;
      yield next.value as Uint8Array;
    }
  }

  /** What the shell has not taken, for the command that runs: lines up to Ctrl-D. */
  async *#input(): AsyncGenerator<Uint8Array> {
    for (;;) {
      const item = await this.#lines.take();
      if (item === "end" || item === "interrupt") return;
      yield Buffer.from(item.line);
    }
  }

  async #write(data: string | Uint8Array): Promise<void> {
    if (!this.#channel.writable) return;
    this.#channel.write(this.#onTerminal(data));
    await this.#whenWritable();
  }

  /** On a terminal both outputs are one. */
  async #writeError(data: string | Uint8Array): Promise<void> {
    if (this.#terminal !== undefined) {
      await this.#write(data);
      return;
    }
    const { stderr } = this.#channel;
    if (!stderr.writable || stderr.write(data)) return;
    await firstOf(stderr, ["drain", "close"]);
  }

  async #whenWritable(): Promise<void> {
    if (this.#channel.writableNeedDrain && !this.#over.signal.aborted) {
      await firstOf(this.#channel, ["drain", "close"]);
    }
  }

  /** A terminal wants a carriage return before each line feed. */
  #onTerminal(data: string | Uint8Array): string | Uint8Array {
    if (this.#terminal === undefined) return data;
    if (typeof data === "string") return data.replaceAll(/\r?\n/g, "\r\n");
    if (!data.includes(0x0a)) return data;
    return Buffer.from(Buffer.from(data).toString("latin1").replaceAll("\n", "\r\n"), "latin1");
  }
}

function firstOf(stream: Channel | Channel["stderr"], events: readonly string[]): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      for (const event of events) stream.off(event, done);
      resolve();
    };
    for (const event of events) stream.on(event, done);
  });
}

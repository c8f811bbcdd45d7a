import type { Duplex } from "node:stream";
import type { Channel, Exit, IncomingRequest, OpenOptions } from "#ssh/connection";
import {
  decodeExitSignal,
  decodeExitStatus,
  encodeEnvRequest,
  encodeExecRequest,
  encodePtyRequest,
  encodeSignalRequest,
  encodeSubsystemRequest,
  encodeTerminalModes,
  encodeWindowChange,
} from "#ssh/messages";
import { clientErrors } from "./errors.ts";

export interface TerminalSize {
  readonly columns: number;
  readonly rows: number;
}

export interface TerminalOptions extends TerminalSize {
  /** As TERM has it. */
  readonly term: string;
  /** Opcode to value (RFC 4254, section 8). */
  readonly modes?: ReadonlyMap<number, number>;
}

export interface SessionOptions {
  /** Absent: a shell. */
  readonly command?: string | Uint8Array;
  /** A subsystem instead, as "sftp". */
  readonly subsystem?: string;
  readonly terminal?: TerminalOptions;
  /** Variables that the server may or may not take. */
  readonly environment?: Readonly<Record<string, string>>;
}

/** A shell, a command or a subsystem at work on the server. */
export class Session implements AsyncDisposable {
  /** Standard input and output: `end()` tells the command that there is no more. */
  readonly stream: Channel;
  readonly stderr: Duplex;
  /** Resolves when it is over: how it ended, or undefined if the server did not say. */
  readonly exit: Promise<Exit | undefined>;

  private constructor(stream: Channel, exit: () => Exit | undefined) {
    this.stream = stream;
    this.stderr = stream.stderr;
    this.exit = stream.over.then(exit);
  }

  /** For ClientConnection. */
  static async start(
    options: SessionOptions,
    open: (options: OpenOptions) => Promise<Channel>,
  ): Promise<Session> {
    let exit: Exit | undefined;
    const request = ({ type, data }: IncomingRequest): boolean => {
      if (type === "exit-status") exit = { status: decodeExitStatus(data) };
      else if (type === "exit-signal") exit = decodeExitSignal(data);
      else return false;
      return true;
    };
    const channel = await open({ request });
    const { terminal, environment = {}, command, subsystem } = options;
    try {
      for (const [name, value] of Object.entries(environment))
        channel.notify("env", encodeEnvRequest({ name, value: Buffer.from(value) }));
      if (terminal !== undefined) await askForTerminal(channel, terminal);
      const [type, data, what] =
        subsystem !== undefined
          ? (["subsystem", encodeSubsystemRequest(subsystem), `the subsystem ${subsystem}`] as const)
          : command !== undefined
            ? (["exec", encodeExecRequest(command), "the command"] as const)
            : (["shell", new Uint8Array(0), "a shell"] as const);
      if (!(await channel.request(type, data)))
        throw new clientErrors.DENIED_CLIENT_CHANNEL(`The server refused ${what}.`);
      return new Session(channel, () => exit);
    } catch (error) {
      channel.destroy();
      throw error;
    }
  }

  resize({ columns, rows }: TerminalSize): void {
    this.stream.notify(
      "window-change",
      encodeWindowChange({ columns, rows, widthPixels: 0, heightPixels: 0 }),
    );
  }

  /** A signal for the command, without SIG: "TERM". Not every server passes it on. */
  signal(name: string): void {
    this.stream.notify("signal", encodeSignalRequest(name));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.stream.destroy();
    await this.exit;
  }
}

async function askForTerminal(channel: Channel, terminal: TerminalOptions): Promise<void> {
  const { term, columns, rows, modes = new Map<number, number>() } = terminal;
  const data = encodePtyRequest({
    term,
    columns,
    rows,
    widthPixels: 0,
    heightPixels: 0,
    modes: encodeTerminalModes(modes),
  });
  if (!(await channel.request("pty-req", data)))
    throw new clientErrors.DENIED_CLIENT_CHANNEL("The server gives out no terminal.");
}

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
import { quotable } from "./printable.ts";
import type { X11Options } from "./x11/x11-forwarding.ts";

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
  /** The socket of an agent that the server may use as long as the connection lasts. */
  readonly forwardAgent?: string | undefined;
  /** A display that programs there may draw on as long as the connection lasts. */
  readonly forwardX11?: X11Options | undefined;
}

/** What a session asks of the server besides what it runs. */
export interface SessionExtras {
  readonly agent: boolean;
  /** The request's data. */
  readonly x11: Uint8Array | undefined;
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
    extras: SessionExtras = { agent: false, x11: undefined },
    notice: (text: string) => void = () => {},
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
      // Whether the server agrees to this one shows when it opens a channel for it, or never.
      if (extras.agent) channel.notify("auth-agent-req@openssh.com");
      if (extras.x11 !== undefined && !(await channel.request("x11-req", extras.x11)))
        notice(
          "The server does not forward X11: its administrator does not allow it, or xauth is not there.",
        );
      if (terminal !== undefined) await askForTerminal(channel, terminal);
      const [type, data, what] =
        subsystem !== undefined
          ? (["subsystem", encodeSubsystemRequest(subsystem), `the subsystem ${subsystem}`] as const)
          : command !== undefined
            ? (["exec", encodeExecRequest(command), "the command"] as const)
            : (["shell", new Uint8Array(0), "a shell"] as const);
      if (!(await channel.request(type, data)))
        throw new clientErrors.DENIED_CLIENT_CHANNEL(`The server refused ${what}${reasonIn(channel)}.`);
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

/** Characters of a server's reason that are shown. */
const maxReasonChars = 300;

/** A server that says why it refuses, as Postern does, says so on stderr, ahead of the refusal. */
function reasonIn({ stderr }: Channel): string {
  const said = stderr.read() as Buffer | null;
  const why = quotable(said?.toString("utf8") ?? "").replaceAll(/\s+/g, " ");
  return why === "" ? "" : `: ${why.slice(0, maxReasonChars)}`;
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

import { PosternError } from "#base";
import type { JumpQuestion, ServedSession } from "#contract";
import type { Channel, ChannelOffer, IncomingRequest } from "#ssh/connection";
import { decodeExecRequest, decodePtyRequest, decodeSubsystemRequest } from "#ssh/messages";
import { nameOfPath } from "../socket-path.ts";
import { parseCommand } from "./command.ts";
import { listJson, listText } from "./list.ts";

/** What a person is told who wants a shell. */
export const helpText: string = [
  "This is a jump host: it has no shell. It leads on to targets, by these commands on your own machine:",
  "  ssh GATE ls                      the targets that you may reach; --json for programs",
  "  ssh -J GATE user@TARGET          a session there; scp, sftp, rsync and git know -J or ProxyJump too",
  "  ssh -W TARGET:22 GATE            the bytes of one connection, for ProxyCommand",
  "",
].join("\n");

const statusFailed = 1;
const statusNotFound = 127;

/** One session channel: no process is started for it. */
export class JumpSession {
  readonly #session: ServedSession;
  readonly #channel: Channel;
  readonly #over: AbortSignal;
  readonly #gone = new AbortController();
  #terminal = false;
  #started = false;

  constructor(offer: ChannelOffer, session: ServedSession, over: AbortSignal) {
    this.#session = session;
    this.#over = over;
    this.#channel = offer.accept({ request: (request) => this.#request(request) });
    void this.#channel.over.then(() => this.#gone.abort());
  }

  #request({ type, data }: IncomingRequest): boolean {
    const { desk, audit } = this.#session;
    switch (type) {
      case "pty-req": {
        decodePtyRequest(data);
        if (this.#started || this.#terminal || desk.refusal("pty") !== undefined) return false;
        this.#terminal = true;
        return true;
      }
      case "shell":
      case "exec": {
        const asked = type === "exec" ? Buffer.from(decodeExecRequest(data)).toString("utf8") : undefined;
        const line = desk.forcedCommand ?? asked;
        const outcome = desk.forcedCommand === undefined ? "allowed" : "replaced";
        const forced = desk.forcedCommand === undefined ? {} : { forced: desk.forcedCommand };
        audit?.({ event: "request", type, outcome, command: asked?.slice(0, 1024), ...forced });
        return this.#start(() => this.#run(line));
      }
      case "subsystem": {
        const name = decodeSubsystemRequest(data);
        const reason = "A jump host has no files and no subsystems: use -J.";
        audit?.({ event: "request", type, outcome: "refused", subsystem: name.slice(0, 1024), reason });
        // Not by a failure: ssh shows no words of ours after one.
        return this.#start(async () => {
          this.#tell(`${reason}\n`);
          return statusFailed;
        });
      }
      case "window-change":
        return this.#terminal;
      default:
        return false;
    }
  }

  #start(program: () => Promise<number | undefined>): boolean {
    if (this.#started) return false;
    this.#started = true;
    void this.#live(program);
    return true;
  }

  async #live(program: () => Promise<number | undefined>): Promise<void> {
    // The reply to the request leaves before the first byte of output.
    await Promise.resolve();
    const status = await program().catch((error: unknown) => {
      this.#session.log.error("jump-session-failed", { error });
      return statusFailed;
    });
    if (status !== undefined) await this.#channel.finish({ status });
  }

  /** The exit status; undefined when the channel has been joined with a target. */
  async #run(line: string | undefined): Promise<number | undefined> {
    const { desk } = this.#session;
    const command = line === undefined ? ({ kind: "help" } as const) : parseCommand(line);
    if (command.kind === "connect") return await this.#join({ name: command.name, port: command.port });
    if (command.kind === "connect-path")
      return await this.#join({ name: nameOfPath(command.path) ?? "", path: command.path });
    // Whatever is typed is for nobody.
    this.#channel.resume();
    switch (command.kind) {
      case "list":
        this.#write(command.json ? listJson(desk.targets()) : listText(desk.targets()));
        return 0;
      case "help":
        this.#tell(helpText);
        return line === undefined ? statusFailed : 0;
      case "unknown":
        this.#tell(`${command.text}\n\n${helpText}`);
        return statusNotFound;
    }
  }

  async #join(question: JumpQuestion): Promise<number | undefined> {
    const signal = AbortSignal.any([this.#over, this.#gone.signal]);
    try {
      const opened = await this.#session.desk.open(question, signal);
      const channel = this.#channel;
      // As netcat: the end of what the target says is the end of it all.
      channel.exitWhenEnded({ status: 0 });
      channel.once("finish", () => channel.destroy());
      opened.join(channel);
      return undefined;
    } catch (error) {
      if (!(error instanceof PosternError)) throw error;
      this.#tell(`${error.user}\n`);
      return statusFailed;
    }
  }

  #write(text: string): void {
    if (this.#channel.writable) this.#channel.write(this.#terminal ? text.replaceAll("\n", "\r\n") : text);
  }

  /** On a terminal both outputs are one. */
  #tell(text: string): void {
    if (this.#terminal) this.#write(text);
    else if (this.#channel.stderr.writable) this.#channel.stderr.write(text);
  }
}

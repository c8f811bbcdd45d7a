import { type Clock, type Log, PosternError, type Timer } from "#base";
import type { ListedTarget, Menu, MenuStep, MenuTerminal, Principal, Route, JumpServer } from "#contract";
import { type ChannelRequest, decodePtyRequest, decodeWindowChange } from "#ssh/messages";
import type { ConnClose, PacketConn } from "#ssh/transport";
import { gatewayErrors } from "./errors.ts";
import { ForwardedAgent } from "./forwarded-agent.ts";
import type { HeldSession, SessionServing } from "./held-session.ts";
import { failedStatus } from "./resumed-client.ts";
import type { UpstreamLogin } from "./upstream-login.ts";
import { WaitingClient } from "./waiting-client.ts";

export interface MenuEntryOptions {
  /** Logged in; taken over. */
  readonly conn: PacketConn;
  readonly principal: Principal;
  readonly server: Pick<JumpServer, "menu">;
  readonly targets: readonly ListedTarget[];
  /** Why the client may not have a terminal; undefined: it may. */
  readonly refuseTerminal: () => string | undefined;
  /** Where a name that was chosen leads. Throws DENIED_ errors. */
  readonly choose: (name: string) => Route;
  /** Logs in there; the caller's from then on. */
  readonly enter: (route: Route, agent: ForwardedAgent | undefined) => Promise<UpstreamLogin>;
  readonly clock: Clock;
  readonly log: Log;
  /** The client has gone, or the session is to end: with why. */
  readonly signal: AbortSignal;
  /** Told once when the client's connection ends while it waits. */
  closed(close: ConnClose): void;
}

export type MenuEnd =
  /** The person left. */
  | { readonly kind: "left" }
  /** No menu is wanted: the connection begins with all that the client has said. */
  | { readonly kind: "served"; readonly downstream: PacketConn }
  | {
      readonly kind: "entered";
      readonly downstream: PacketConn;
      readonly route: Route;
      readonly upstream: UpstreamLogin;
    };

/** Time in which a client says what it wants: OpenSSH does so at once. Who has not by then is shown no menu. */
const undecidedMs = 3_000;

/** A menu that nobody touches for so long is left. */
export const maxMenuIdleMs: number = 600_000;

/** After ESC, time in which the rest of an arrow key comes. */
const escapeMs = 100;

/** What a client may type ahead. */
const windowBytes = 4096;

/** Output that a terminal has not taken; a menu drawn meanwhile is left out. */
export const maxUnshownBytes: number = 256 * 1024;

/** Time that a client has to read the last words, and to leave by itself. */
const lastWordsMs = 2_000;

/** Exit status of who leaves without a choice, as shells have it for ctrl-C. */
const leftStatus = 130;

type Phase =
  /** The client has not said yet whether it wants a menu. */
  | { readonly kind: "asking"; readonly terminal: MenuTerminal | undefined }
  | { readonly kind: "menu"; readonly menu: Menu }
  /** The target did not let us in: the next key shows the list again. */
  | { readonly kind: "failed" }
  /** Chosen, or given up. What comes now is for others. */
  | { readonly kind: "done" };

/** Who asks a jump host for a shell on a terminal chooses a target from a menu, and goes on to it in the same session (ADR 11). */
export class MenuEntry {
  readonly #options: MenuEntryOptions;
  readonly #waiting: WaitingClient;
  readonly #end = Promise.withResolvers<MenuEnd>();
  readonly #undecided: Timer;
  #phase: Phase = { kind: "asking", terminal: undefined };
  /** The terminal as it is now. */
  #terminal: MenuTerminal = { term: "", columns: 0, rows: 0 };
  #session: HeldSession | undefined;
  #unsent: Uint8Array[] = [];
  #unsentBytes = 0;
  /** Bytes that were read and not given back. */
  #owedBytes = 0;
  #left = false;
  /** On the terminal now. */
  #shown: Menu | undefined;
  /** What the person has been told last. */
  #notice: string | undefined;
  #idle: Timer | undefined;
  #escape: Timer | undefined;

  constructor(options: MenuEntryOptions) {
    this.#options = options;
    const serving: SessionServing = {
      windowBytes,
      request: (request) => this.#request(request),
      data: (bytes) => this.#data(bytes),
      besides: (type) => this.#besides(type),
      writable: () => this.#flush(),
    };
    this.#waiting = new WaitingClient(options.conn, serving);
    void this.#waiting.session.then((session) => (this.#session = session));
    void this.#waiting.closed.then((close) => {
      if (this.#left) this.#end.resolve({ kind: "left" });
      else options.closed(close);
    });
    this.#undecided = options.clock.after(undecidedMs, () => this.#serve());
  }

  /** Rejects with why the signal was fired. */
  async run(): Promise<MenuEnd> {
    const { signal } = this.#options;
    const abort = (): void => this.#end.reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    try {
      if (signal.aborted) abort();
      return await this.#end.promise;
    } finally {
      signal.removeEventListener("abort", abort);
      for (const timer of [this.#undecided, this.#idle, this.#escape]) timer?.[Symbol.dispose]();
      this.#phase = { kind: "done" };
    }
  }

  /** Tells the person something, on the menu or where it was. */
  notify(text: string): void {
    this.#notice = text;
    if (this.#phase.kind === "menu" && this.#shown !== undefined) this.#show(this.#phase.menu.notice(text));
    else if (this.#phase.kind === "failed") this.#show(`${text}\r\n`);
  }

  /** Tells the person why it is over, where there is a terminal to tell it on; resolves when that has been read, or could have been. */
  async tell({ user }: PosternError): Promise<boolean> {
    const session = this.#waiting.openSession;
    if (session === undefined || this.#left) return false;
    if (this.#shown !== undefined) this.#show(this.#shown.close());
    session.fail(user, failedStatus);
    await this.#gone();
    return true;
  }

  /** Resolves when the client has closed the connection, or had the time to. */
  async #gone(): Promise<void> {
    const time = Promise.withResolvers<void>();
    using _ = this.#options.clock.after(lastWordsMs, () => time.resolve());
    await Promise.race([this.#waiting.closed, time.promise]);
  }

  #request({ type, wantReply, data }: ChannelRequest): boolean | undefined {
    const phase = this.#phase;
    if (phase.kind === "done") return undefined;
    if (type === "window-change") {
      this.#resize(data);
      return undefined;
    }
    if (phase.kind === "asking") {
      if (type === "pty-req") return this.#takeTerminal(data);
      if (type === "shell" && phase.terminal !== undefined) return this.#begin();
      if (type === "shell" || type === "exec" || type === "subsystem") {
        this.#serve();
        return undefined;
      }
      if (type === "auth-agent-req@openssh.com") return wantReply ? true : undefined;
    }
    // What is answered later would be answered after what is granted now: nobody could tell which is which.
    return wantReply ? false : undefined;
  }

  #takeTerminal(data: Uint8Array): boolean {
    if (this.#options.refuseTerminal() !== undefined) return false;
    const { term, columns, rows } = decodePtyRequest(data);
    this.#terminal = { term, columns, rows };
    this.#phase = { kind: "asking", terminal: this.#terminal };
    return true;
  }

  #resize(data: Uint8Array): void {
    const { columns, rows } = decodeWindowChange(data);
    this.#terminal = { ...this.#terminal, columns, rows };
    if (this.#phase.kind === "menu") this.#show(this.#phase.menu.resize({ columns, rows }));
  }

  #begin(): boolean {
    this.#undecided[Symbol.dispose]();
    // The answer to the request goes before what is shown.
    queueMicrotask(() => this.#open());
    const menu = this.#options.server.menu(this.#options.targets, this.#terminal);
    this.#phase = { kind: "menu", menu };
    return true;
  }

  #open(): void {
    if (this.#phase.kind !== "menu") return;
    this.#options.log.info("menu-opened", { targets: this.#options.targets.length });
    this.#shown = this.#phase.menu;
    this.#show(this.#shown.open());
    if (this.#notice !== undefined) this.#show(this.#shown.notice(this.#notice));
    this.#touch();
  }

  /** No menu: whoever serves the connection otherwise answers. */
  #serve(): void {
    if (this.#phase.kind !== "asking") return;
    this.#phase = { kind: "done" };
    // Not at once: the packet that decided it has to be held first.
    queueMicrotask(() => this.#end.resolve({ kind: "served", downstream: this.#waiting.resume() }));
  }

  #besides(type: string | undefined): string | undefined {
    if (this.#phase.kind === "asking" && type !== undefined) this.#serve();
    if (this.#phase.kind === "menu" || this.#phase.kind === "failed") return "choose a target first";
    return undefined;
  }

  #data(bytes: Uint8Array): number {
    const { kind } = this.#phase;
    if (kind === "asking" || kind === "done") return 0;
    this.#touch();
    this.#escape?.[Symbol.dispose]();
    if (this.#phase.kind === "failed") {
      this.#shown = this.#options.server.menu(this.#options.targets, this.#terminal);
      this.#phase = { kind: "menu", menu: this.#shown };
      this.#show(this.#shown.open());
      if (this.#notice !== undefined) this.#show(this.#shown.notice(this.#notice));
      this.#consumed(bytes.length);
      return bytes.length;
    }
    if (this.#phase.kind !== "menu") return 0;
    const { menu } = this.#phase;
    const step = menu.feed(bytes);
    this.#consumed(step.taken);
    this.#step(step, menu);
    if (menu.pending) this.#escape = this.#options.clock.after(escapeMs, () => this.#step(menu.idle(), menu));
    return step.taken;
  }

  #step({ output, outcome }: MenuStep, menu: Menu): void {
    if (this.#phase.kind !== "menu") return;
    this.#show(output);
    if (outcome === undefined) return;
    this.#shown = undefined;
    this.#show(menu.close());
    if (outcome.kind === "left") this.#leave();
    else void this.#enter(outcome.name);
  }

  #leave(): void {
    this.#phase = { kind: "done" };
    this.#options.log.info("menu-left");
    this.#left = true;
    this.#session?.end(leftStatus);
    void this.#gone().then(() => this.#end.resolve({ kind: "left" }));
  }

  async #enter(name: string): Promise<void> {
    const { choose, enter, signal } = this.#options;
    this.#phase = { kind: "done" };
    this.#idle?.[Symbol.dispose]();
    let upstream: UpstreamLogin | undefined;
    try {
      const route = choose(name);
      this.#show(`Connecting to ${name} …\r\n`);
      const agent = await this.#agent();
      if (agent === undefined && needsAgent(route)) throw new gatewayErrors.DENIED_AGENT_NOT_OFFERED();
      upstream = await enter(route, agent);
      await agent?.close();
      signal.throwIfAborted();
      for (const text of upstream.banners) this.#show(text.replaceAll(/\r?\n/g, "\r\n"));
      this.#end.resolve({ kind: "entered", downstream: this.#waiting.resume(), route, upstream });
    } catch (error) {
      await upstream?.[Symbol.asyncDispose]();
      this.#failed(error);
    }
  }

  /** The client's, where it has said that it forwards it. */
  async #agent(): Promise<ForwardedAgent | undefined> {
    const { clock, log, signal, principal } = this.#options;
    if ((await this.#session?.agentOffered) !== true) return undefined;
    return new ForwardedAgent({ waiting: this.#waiting, clock, log, likely: principal.by, signal });
  }

  /** What is wrong with one target says nothing of the others. */
  #failed(error: unknown): void {
    const { signal, log } = this.#options;
    const known = error instanceof PosternError && error.blame !== "BUG";
    if (signal.aborted || !known) {
      this.#end.reject(error);
      return;
    }
    log.warn("menu-target-failed", { error });
    this.#phase = { kind: "failed" };
    this.#show(`${error.user}\r\nPress a key for the list of targets.\r\n`);
    this.#touch();
  }

  #touch(): void {
    this.#idle ??= this.#options.clock.after(maxMenuIdleMs, () => {
      if (this.#phase.kind === "menu" || this.#phase.kind === "failed")
        this.#end.reject(new gatewayErrors.DENIED_MENU_IDLE());
    });
    this.#idle.refresh();
  }

  #show(text: string): void {
    if (text === "" || this.#unsentBytes > maxUnshownBytes) return;
    const bytes = Buffer.from(text);
    this.#unsent.push(bytes);
    this.#unsentBytes += bytes.length;
    this.#flush();
  }

  #consumed(bytes: number): void {
    this.#owedBytes += bytes;
    this.#flush();
  }

  /** Who does not read what is shown is not read either. */
  #flush(): void {
    const session = this.#session;
    if (session === undefined) return;
    while (this.#unsent.length > 0) {
      const [first = new Uint8Array()] = this.#unsent;
      const written = session.write(first);
      this.#unsentBytes -= written;
      if (written < first.length) {
        this.#unsent[0] = first.subarray(written);
        return;
      }
      this.#unsent.shift();
    }
    if (!this.#options.conn.writable) return;
    session.consumed(this.#owedBytes);
    this.#owedBytes = 0;
  }
}

/** Only with the client's own keys can we log in there. */
function needsAgent({ plan: { credentials } }: Pick<Route, "plan">): boolean {
  return credentials.length > 0 && credentials.every(({ clientAgent }) => clientAgent !== undefined);
}

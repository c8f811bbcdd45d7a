import type { Duplex } from "node:stream";
import type { Clock, Log, PosternError } from "#base";
import type { ConnClose, PacketConn } from "#ssh/transport";
import type { Auditor } from "./audit-sink.ts";
import type { DeviceSubject } from "./device.ts";

/** A target, as it is shown to who may reach it. */
export interface ListedTarget {
  readonly name: string;
  readonly names: readonly string[];
  readonly tags: readonly string[];
  /** It stands for all names that match this. */
  readonly pattern?: string;
  /** Of a device: whether it is there. */
  readonly online?: boolean;
}

/** What a client of a jump host wants to be joined with. */
export type JumpQuestion =
  | { readonly name: string; readonly port: number }
  /** The name is what a UNIX socket's path stands for; empty if for nothing. */
  | { readonly name: string; readonly path: string };

/** Bytes flow. */
export interface JumpJoined {
  /** Resolves when both directions have ended. */
  readonly ended: Promise<void>;
}

/** A target that answers. Owned by who asked, until it is joined. */
export interface JumpOpened extends Disposable {
  /** Takes the stream over: what it carries is the target's from now on. */
  join(stream: Duplex): JumpJoined;
}

/** What one client may reach, and the way there. */
export interface JumpDesk {
  /** All that may be reached, in the order of the configuration. */
  targets(): readonly ListedTarget[];
  /**
   * Throws DENIED_ errors, with the same text for what is not there and what is not for this client, and UPSTREAM_ errors when the
   * target does not answer.
   */
  open(question: JumpQuestion, signal: AbortSignal): Promise<JumpOpened>;
  /** Why the client may not have a terminal, or the like; undefined: it may. */
  refusal(asked: "pty" | "agent"): string | undefined;
  /** Runs in place of whatever the client asks for. */
  readonly forcedCommand: string | undefined;
}

/** The gateway's host keys, for a client that keeps them: those to come, before the old ones go (PROTOCOL of OpenSSH, section 2.5). */
export interface HostKeyNews {
  /** Of the global request that tells them, and what it holds. */
  readonly type: string;
  readonly data: Uint8Array;
  /** Proves the keys that a global request of the client's asks for; undefined: it asks for something else, or for other keys. */
  prove(request: { readonly type: string; readonly data: Uint8Array }): Promise<Uint8Array | undefined>;
}

/** A client that has logged in, and whose connection is served here. */
export interface ServedSession {
  readonly conn: PacketConn;
  readonly desk: JumpDesk;
  readonly user: string;
  /** Present: it is a device, or may become one. */
  readonly device?: DeviceSubject;
  readonly keepalive: { readonly intervalMs: number; readonly maxMissed: number };
  /** As `Arrival` has it. */
  readonly probed?: boolean;
  readonly maxChannels: number;
  readonly hostKeys?: HostKeyNews;
  readonly audit: Auditor | undefined;
  readonly log: Log;
}

export interface ServerPorts {
  readonly clock: Clock;
}

/** An end of connections. */
export interface Server {
  readonly kind: string;
  /** Takes the connection over; resolves with its end. */
  serve(session: ServedSession): Promise<ConnClose>;
}

/** An end of connections whose clients go on to targets. */
export interface JumpServer extends Server {
  /** What a person at a terminal, who asked for a shell, chooses a target from. */
  menu(targets: readonly ListedTarget[], terminal: MenuTerminal): Menu;
}

/** A client's terminal, as it says. */
export interface MenuTerminal {
  /** Its kind: the value of TERM. */
  readonly term: string;
  readonly columns: number;
  readonly rows: number;
}

export type MenuOutcome =
  /** A name by which the chosen target can be asked for. */
  { readonly kind: "chosen"; readonly name: string } | { readonly kind: "left" };

export interface MenuStep {
  /** To be shown, as the terminal takes it. */
  readonly output: string;
  readonly outcome?: MenuOutcome;
  /** Bytes that were for the menu: what follows is for the target. */
  readonly taken: number;
}

/** Targets to choose from on a terminal: keys in, text out. */
export interface Menu {
  /** What begins and what ends it on the terminal. */
  open(): string;
  close(): string;
  resize(terminal: Pick<MenuTerminal, "columns" | "rows">): string;
  feed(bytes: Uint8Array): MenuStep;
  /** Tells the person something, for as long as the menu is there. */
  notice(text: string): string;
  /** What was pressed last may mean two things: when nothing has followed for a moment, `idle` decides it. */
  readonly pending: boolean;
  idle(): MenuStep;
}

/** An SFTP channel of a client, as far as its end here speaks to it. */
export interface FilesChannel {
  /** The client's number. */
  readonly number: number;
  /** Takes bytes at once; they are not changed afterwards. */
  toClient(bytes: Uint8Array): void;
  /** Bytes that the client has not taken. */
  queuedBytes(): number;
  /** Words for the person. */
  tell(text: string): void;
  /** There may be room for more of the client's bytes, or nothing left to be answered. */
  progressed(): void;
  /** It cannot go on. */
  failed(error: PosternError): void;
}

/** The end of such a channel. */
export interface FilesEnd {
  /** No more is to be read from the client until `progressed`. */
  readonly full: boolean;
  /** All that the client has asked is answered. */
  readonly idle: boolean;
  /** The next bytes of the client's, lent for the call. */
  fromClient(bytes: Uint8Array): void;
  /** The client has taken some of what waited for it. */
  drained(): void;
  close(): void;
}

/** The files that one client sees. */
export interface FilesDesk {
  /** Why it may not have what it asks for, in a sentence; undefined: it may. */
  refusal(asked: "shell" | "exec" | "sftp" | "subsystem"): string | undefined;
  open(channel: FilesChannel): FilesEnd;
}

/** An end of connections that carry SFTP and nothing else. */
export interface FilesServer {
  readonly kind: "files";
  /** Takes the connection over; resolves with its end. */
  serve(session: Omit<ServedSession, "desk"> & { readonly desk: FilesDesk }): Promise<ConnClose>;
}

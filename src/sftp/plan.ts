import { Buffer } from "node:buffer";
import { type Bytes, FX, type SftpQuestion, type SftpReply, type SftpRequest, statusText } from "#ssh/sftp";

/** A request of our own to the upstream: its number is given when it is sent. */
export type Question = SftpQuestion;

/** What is wanted before a plan can go on. */
export type Step = Asking | { readonly alone: boolean };

export interface Asking {
  readonly ask: readonly Question[];
  /**
   * The number of the client's request, which the first then goes under: if a handle answers it, that goes on to the client as it is,
   * whether the rest is answered or not; the outcome is then `answered`.
   */
  readonly as?: number | undefined;
}

/** What becomes of a client's request. */
export type Outcome =
  | {
      /** Goes to the upstream under the client's number. */
      readonly send: SftpRequest;
      /** Sees the answer; another may be given in its place. */
      readonly finish?: (reply: SftpReply) => SftpReply | undefined;
    }
  | { readonly answer: SftpReply }
  /** The client has its answer. */
  | { readonly answered: true };

/** What was answered, in the order of the questions; after a step that asks nothing there is none. */
export type Replies = readonly (SftpReply | undefined)[];

/** The way to a result: each step is answered with the replies to what it asked. */
export type Plan<Result> = Generator<Step, Result, Replies>;

/** The way to what becomes of a client's request. */
export type Way = Plan<Outcome | Refusal>;

/** Why a request is answered here, and not done. */
export class Refusal {
  readonly code: number;
  /** Told to the client. */
  readonly text: string;
  /** Whether it was decided here: then the audit is told. */
  readonly decided: boolean;

  constructor(code: number, text: string, decided: boolean) {
    this.code = code;
    this.text = text;
    this.decided = decided;
  }
}

/** By a rule: in the protocol's own words, and ours. */
export function denied(text: string): Refusal {
  return new Refusal(FX.PERMISSION_DENIED, text, true);
}

/** As the upstream would say, or has said. */
export function failed(code: number): Refusal {
  return new Refusal(code === FX.OK || code === FX.EOF ? FX.FAILURE : code, statusText(code), false);
}

export function statusReply(id: number, code: number, text: string = statusText(code)): SftpReply {
  return { kind: "status", id, code, message: Buffer.from(text, "utf8").toString("latin1") };
}

/** SSH_FXP_NAME with one path, as REALPATH and READLINK are answered. */
export function pathReply(id: number, path: Bytes): SftpReply {
  return { kind: "name", id, entries: [{ name: path, longname: path, attrs: {} }] };
}

/** What REALPATH said. */
export function realpathIn(reply: SftpReply | undefined): Bytes | undefined {
  return reply?.kind === "name" ? reply.entries[0]?.name : undefined;
}

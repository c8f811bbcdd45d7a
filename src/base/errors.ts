/**
 * Errors are tables that say who is to blame.
 *
 * One row makes the class, the code, the line in docs/errors.md and what each party is told. The first word of a code is the
 * blame; only `user` text ever leaves the gateway.
 */

export const blames = ["PEER", "MISMATCH", "DENIED", "UPSTREAM", "OPERATOR", "BUG"] as const;
export type Blame = (typeof blames)[number];
export type ErrorCode = `${Blame}_${string}`;

/** What one error means to each party. */
export interface ErrorRow {
  /** Reason code of SSH_MSG_DISCONNECT (RFC 4253, section 11.1) told to the peer; absent: the blame's own. */
  readonly disconnect?: number;
  /** One sentence for the person at the client: what happened and what to do. Never a secret, never an internal name. */
  readonly user: string;
  /** One sentence for the operator's log and docs/errors.md. */
  readonly operator: string;
}

const disconnectOf: Record<Blame, number> = {
  PEER: 2, // PROTOCOL_ERROR
  MISMATCH: 3, // KEY_EXCHANGE_FAILED
  DENIED: 14, // NO_MORE_AUTH_METHODS_AVAILABLE
  UPSTREAM: 11, // BY_APPLICATION
  OPERATOR: 11,
  BUG: 11,
};

/** Options of an error: `cause` keeps the chain, `user` replaces the row's sentence by a more exact one. */
export interface ErrorDetail {
  readonly cause?: unknown;
  readonly user?: string;
}

/** Any error with a row in some room's table. */
export class PosternError extends Error {
  readonly code: ErrorCode;
  readonly blame: Blame;
  /** Told to the person at the client. */
  readonly user: string;
  /** Reason code for SSH_MSG_DISCONNECT. */
  readonly disconnect: number;
  /** What the thrower added to the row's sentence. */
  readonly detail: string | undefined;

  constructor(code: ErrorCode, row: ErrorRow, detail?: string, options: ErrorDetail = {}) {
    super(detail === undefined ? row.operator : `${row.operator} (${detail})`, { cause: options.cause });
    this.name = code;
    this.code = code;
    this.detail = detail;
    this.blame = blameOf(code);
    this.user = options.user ?? row.user;
    this.disconnect = row.disconnect ?? disconnectOf[this.blame];
  }
}

export type ErrorClass = new (detail?: string, options?: ErrorDetail) => PosternError;
export type ErrorTable<Rows> = { readonly [Code in keyof Rows]: ErrorClass };

/** Every row ever defined, for docs/errors.md and its test. */
const registered = new Map<ErrorCode, ErrorRow>();

/**
 * Makes one class per row.
 *
 *     const rows = { PEER_MAC_INVALID: { disconnect: 5, user: "…", operator: "…" } } as const;
 *     export const cipherErrors: ErrorTable<typeof rows> = defineErrors(rows);
 *     throw new cipherErrors.PEER_MAC_INVALID("packet 17");
 */
export function defineErrors<const Rows extends Readonly<Record<ErrorCode, ErrorRow>>>(
  rows: Rows,
): ErrorTable<Rows> {
  const table: Record<string, ErrorClass> = {};
  for (const [name, row] of Object.entries(rows)) {
    const code = name as ErrorCode;
    if (registered.has(code)) throw new Error(`error ${code} is defined twice`);
    registered.set(code, row);
    table[code] = class extends PosternError {
      constructor(detail?: string, options?: ErrorDetail) {
        super(code, row, detail, options);
      }
    };
  }
  return table as ErrorTable<Rows>;
}

/** All rows defined by the rooms that are loaded, in order of definition. */
export function definedErrors(): ReadonlyMap<ErrorCode, ErrorRow> {
  return registered;
}

export function blameOf(code: ErrorCode): Blame {
  const first = code.slice(0, code.indexOf("_"));
  const blame = blames.find((name) => name === first);
  if (blame === undefined) throw new Error(`error code ${code} names no blame`);
  return blame;
}

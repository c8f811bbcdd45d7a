/** Where a device stands with the authority. Only an approved one may hold tunnels. */
export type DeviceState = "pending" | "approved" | "denied" | "revoked";

/** A machine that holds tunnels: one key, one name. */
export interface Device {
  /** For ever the same; names change. */
  readonly id: string;
  /** The target's name. Unique among approved devices; of all others it is what they asked for, and holds nothing. */
  readonly name: string;
  /** SHA256:… of its key. Unique. */
  readonly fingerprint: string;
  /** Its key as in authorized_keys, without comment. */
  readonly key: string;
  readonly state: DeviceState;
  /** Shown by the device and typed by the operator; pending devices alone have one. */
  readonly code?: string;
  readonly tags: readonly string[];
  /** Ports of its own that it may offer. */
  readonly ports: readonly number[];
  /** Whether its web page may be reached by name, and whether without a login. */
  readonly web: "off" | "login" | "public";
  readonly createdAtMs: number;
  /** How it came: `token:ID`, `pending`, `certificate`. */
  readonly cameBy: string;
  readonly decidedAtMs?: number;
  readonly decidedBy?: string;
  readonly lastSeenMs?: number;
  readonly lastFrom?: string;
}

/** A ticket for new devices. The token itself is shown once, when it is made. */
export interface JoinToken {
  readonly id: string;
  /** SHA-256 of the token, hex. */
  readonly hash: string;
  readonly usesLeft: number;
  readonly expiresAtMs: number;
  readonly tags: readonly string[];
  readonly ports: readonly number[];
  readonly web: Device["web"];
  /** Names that it may be used for: a host pattern. */
  readonly names: string;
  readonly createdAtMs: number;
}

/** One line of what happened to a device. */
export interface DeviceLogEntry {
  readonly atMs: number;
  readonly device: string;
  readonly event:
    | "asked"
    | "joined"
    | "approved"
    | "denied"
    | "renamed"
    | "certified"
    | "changed"
    | "revoked"
    | "removed"
    | "online"
    | "offline";
  /** Who did it, or from where it came. */
  readonly by: string;
  readonly detail?: string;
}

/** A device came or went. */
export interface Sight {
  readonly device: string;
  readonly atMs: number;
  readonly from: string;
  readonly online: boolean;
}

/** `too-many`: pending devices are bounded, because any stranger can be one. */
export type InsertResult = "inserted" | "key-known" | "name-taken" | "too-many" | "token-spent";
export type ChangeResult = "changed" | "unchanged" | "absent" | "name-taken" | "token-spent";

/** What goes to the disk together with a change to a device, or not at all. */
export interface Along {
  /** What happened to it, for its log. */
  readonly note?: DeviceLogEntry;
  /** One use of the token with that hash is taken; without one left, nothing changes: `token-spent`. */
  readonly token?: { readonly hash: string; readonly nowMs: number };
}

/** What is administered at run time about devices. Every change is whole or not at all, and is on disk when its promise resolves. */
export interface DeviceStore extends AsyncDisposable {
  byId(id: string): Promise<Device | undefined>;
  byFingerprint(fingerprint: string): Promise<Device | undefined>;
  /** The approved device of that name. */
  byName(name: string): Promise<Device | undefined>;
  /** The pending device with that code. */
  byCode(code: string): Promise<Device | undefined>;
  /** In the order of their names, at most `limit` behind `after` (a name and id). */
  list(page: {
    readonly after?: Pick<Device, "name" | "id">;
    readonly limit: number;
  }): Promise<readonly Device[]>;
  /** `maxPending` bounds how many may be pending. */
  insert(device: Device, maxPending: number, along?: Along): Promise<InsertResult>;
  /** Replaces a device by what `change` makes of it; undefined: it stays. The id must stay. */
  change(id: string, change: (device: Device) => Device | undefined, along?: Along): Promise<ChangeResult>;
  remove(id: string, note?: DeviceLogEntry): Promise<boolean>;
  /** Removes pending devices that asked before `beforeMs`, with what was noted of them; returns how many. */
  removePending(beforeMs: number): Promise<number>;

  insertToken(token: JoinToken): Promise<void>;
  tokens(): Promise<readonly JoinToken[]>;
  removeToken(id: string): Promise<boolean>;

  log(entry: DeviceLogEntry): Promise<void>;
  /** Notes when devices came and went, all at once; those that watch are not told. */
  seen(sights: readonly Sight[]): Promise<void>;
  /** The newest first. */
  logOf(device: string, limit: number): Promise<readonly DeviceLogEntry[]>;

  /** Calls back, perhaps more often than needed, after changes by this or another process, within a second. */
  watch(changed: () => void): Disposable;
  /** A copy of all, as of one moment, in a new file. Throws OPERATOR_STORE_BACKUP. */
  backup(path: string): Promise<void>;
}

/** A key that was proven, of something that may become a device. */
export interface Newcomer {
  readonly fingerprint: string;
  /** As in authorized_keys, without comment. */
  readonly key: string;
  readonly from: string;
}

/** How a newcomer may become a device. */
export type Admission =
  /** It shows this; an operator decides. */
  | { readonly by: "pending"; readonly code: string }
  | { readonly by: "token"; readonly token: string }
  /** A certificate of a trusted authority names it. */
  | { readonly by: "certificate"; readonly names: readonly string[] };

/** What the authority says of a proven key. */
export type Standing =
  | { readonly kind: "device"; readonly device: Device }
  /** Not a device yet. */
  | { readonly kind: "newcomer"; readonly admission: Admission }
  | { readonly kind: "refused"; readonly reason: string };

/** Who is there, where a device or a newcomer has logged in. */
export interface DeviceSubject {
  readonly newcomer: Newcomer;
  /** The name that it said with its user name. */
  readonly wished?: string;
  readonly standing: Exclude<Standing, { readonly kind: "refused" }>;
}

/** What a newcomer has shown besides its key. */
export interface NewcomerProof {
  readonly token?: string;
  /** Principals of its certificate, which a trusted authority has signed. */
  readonly names?: readonly string[];
}

export type Joined =
  | { readonly kind: "device"; readonly device: Device }
  /** Its wish is noted. */
  | { readonly kind: "waiting"; readonly code: string }
  | { readonly kind: "refused"; readonly reason: string };

/** What of a request for a tunnel holds. */
export type Binding =
  /** `device` as it is known now. */
  | { readonly kind: "bound"; readonly port: number; readonly device: Device }
  | { readonly kind: "refused"; readonly reason: string };

/** What comes of a device's wish for a certificate. */
export type Certified =
  /** `line` as in a file KEY-cert.pub. */
  | { readonly kind: "certificate"; readonly line: string; readonly untilMs: number }
  | { readonly kind: "refused"; readonly reason: string };

/** Decides who may be a device, and what a device may offer. Nobody else does. */
export interface DeviceAuthority {
  /** Of a key whose possession was proven. */
  standing(newcomer: Newcomer, proof: NewcomerProof): Promise<Standing>;
  /** Makes a newcomer a device of that name, or notes the name that it wishes. Undefined: it has said none. */
  join(newcomer: Newcomer, admission: Admission, name: string | undefined): Promise<Joined>;
  /**
   * Whether a device may hold this tunnel, by what is known of it now and not when it logged in; `port` 0 is the first that it may
   * and does not hold yet. Without a name, its own is meant.
   */
  bind(device: Device, name: string | undefined, port: number, held: ReadonlySet<number>): Promise<Binding>;
  /** A certificate for an approved device's key, with its name, for a while; by what is known of it now. */
  certify(device: Device): Promise<Certified>;
  /** Whether certificates are given at all, and for how long; undefined: they are not. */
  readonly certificateSeconds: number | undefined;
  /** Noted a little later, together with others. */
  seen(device: Device, online: boolean, from: string): void;
}

import type {
  AuditSink,
  Dialer,
  FileAppender,
  FileReader,
  FilesServer,
  JumpServer,
  Reach,
  Reception,
  Server,
} from "#contract";
import type { HostKeySigner } from "#link";
import type { AnnouncedHostKey, KeepaliveOptions } from "#pipe";
import type { GatewayLimits } from "./limits.ts";
import type { LinkSettings } from "./link-settings.ts";
import type { Router } from "./router.ts";
import type { TargetRouter } from "./target-router.ts";

/**
 * All that follows from one configuration. A reload makes a new one; sessions keep the one that they began with, and the last of
 * them disposes of it.
 */
export interface World extends AsyncDisposable {
  readonly router: Router;
  /** For names that come by other ways than the user name. */
  readonly targets: TargetRouter;
  /** Ends of connections that are not piped, by the kind of a rule's `serve`. */
  readonly servers: {
    readonly jump: JumpServer;
    readonly devices?: Server;
    readonly files: FilesServer;
  };
  readonly reception: Reception;
  /** How they are reached. */
  readonly reach: Reach;
  readonly limits: GatewayLimits & { readonly maxChannels: number };
  readonly settings: LinkSettings;
  readonly keepalive: KeepaliveOptions;
  readonly hostKeys: readonly (HostKeySigner & AnnouncedHostKey)[];
  /** With which clients may sign, best first. */
  readonly signatureAlgorithms: readonly string[];
  readonly dialer: Dialer;
  readonly files: FileReader & FileAppender;
  /** Absent: there is no audit. */
  readonly audit?: Pick<AuditSink, "write" | "reopen">;
}

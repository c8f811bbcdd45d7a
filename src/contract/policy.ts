import type { Template } from "#base";
import type { Permit } from "#ssh/keys";

/** What a rule lets its users do. What is not named is refused. Patterns: `*` any run of characters, `?` any one. */
export interface Policy {
  readonly shell: boolean;
  /** Patterns over the whole command. */
  readonly exec: boolean | readonly string[];
  readonly sftp: boolean;
  /** Copying by scp: its old protocol, and SFTP, which it has used since OpenSSH 9. */
  readonly scp: boolean;
  /** Names of subsystems besides sftp. */
  readonly subsystems: boolean | readonly string[];
  /** Destinations of `-L`, `-D` and `-W`: patterns for host:port, and for paths (they begin with a slash); `*` alone: any. */
  readonly forwardLocal: boolean | readonly string[];
  /** Where `-R` may listen, as above. */
  readonly forwardRemote: boolean | readonly string[];
  readonly x11: boolean;
  readonly agent: boolean;
  readonly pty: boolean;
  /** Names of environment variables that the client may send. */
  readonly env: boolean | readonly string[];
  /** Requests and channels of types that are not known here, tunnels (`-w`) among them. */
  readonly other: boolean;
  /** Runs in place of whatever the client asks for. */
  readonly forcedCommand?: string;
  /** Environment for the upstream besides what the client sends. */
  readonly setEnv?: Readonly<Record<string, Template>>;
  /** Tells the upstream in `POSTERN_*` variables who is there. */
  readonly tellUpstream: boolean;
}

/**
 * What one key, certificate or whoever else decided on the login forbids or adds, whatever the rule says (sshd(8), AUTHORIZED_KEYS
 * FILE FORMAT; PROTOCOL.certkeys).
 */
export interface Restrictions {
  /** Whose they are, as the person is told. */
  readonly of: "key" | "certificate" | "login";
  readonly pty: boolean;
  readonly portForwarding: boolean;
  readonly agentForwarding: boolean;
  readonly x11Forwarding: boolean;
  readonly forcedCommand?: string;
  readonly environment: ReadonlyMap<string, string>;
  /** Undefined: anywhere. */
  readonly permitOpen?: readonly Permit[];
  readonly permitListen?: readonly Permit[];
  /** The only tunnel device that may be asked for. */
  readonly tunnel?: number | "any";
  /** How long the session may last. */
  readonly maxSeconds?: number;
}

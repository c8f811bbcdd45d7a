import type { Captures, Cidr, HostPort, Pattern, Place, Template } from "#base";
import type { LoginStep } from "./auth-method.ts";
import type { Credential } from "./credential.ts";
import type { Policy } from "./policy.ts";
import type { MountPlan, SftpPlan } from "./sftp-plan.ts";

declare const brand: unique symbol;

/** When a rule matches. All conditions that are present must hold. */
export interface RuleMatch {
  /** The exact user name. */
  readonly user?: string;
  /** Over the whole name. Neither `user` nor `userPattern`: any name. */
  readonly userPattern?: Pattern;
  /** Absent: from anywhere. A UNIX socket is inside no network. */
  readonly from?: readonly Cidr[];
  /** What the client connected to. A UNIX socket is none of these. */
  readonly to?: readonly Place[];
  /** Milliseconds since 1970. The rule holds from `notBeforeMs` and until before `notAfterMs`. */
  readonly notBeforeMs?: number;
  readonly notAfterMs?: number;
  /** Names of targets, `tag:NAME`, or `*`: the client was led to one of them by its name. Absent: it was led to none. */
  readonly targets?: readonly string[];
  /** The client must show one of these plain keys, given as lines of the form `ssh-ed25519 AAAA…`. */
  readonly keys?: readonly string[];
  /** The client must show a plain key with one of these: `SHA256:…` */
  readonly fingerprints?: readonly string[];
  readonly certificate?: CertificateMatch;
}

/** The client must show a user certificate that is good here and now. */
export interface CertificateMatch {
  /** Lines as in `keys`. */
  readonly authorities: readonly string[];
  /** One of them must be among its principals. Absent: the user name must. */
  readonly principals?: readonly string[];
  /** Over the whole key id; its named captures can be used as those of `userPattern`. */
  readonly keyId?: Pattern;
}

/** The session ends here: its client is a jump host's, or a device that holds tunnels, or one of a tree of mounts. */
export interface ServePlan {
  readonly kind: "jump" | "devices" | "files";
  /** What clients of a jump host reach: names of targets, `tag:NAME`, or `*` for all. Others reach none. */
  readonly targets: readonly string[];
}

/** One line of the routing table, its adapters made. */
export interface Rule {
  readonly name: string;
  readonly match: RuleMatch;
  /** How the client proves itself: each step in turn. */
  readonly login: readonly LoginStep[];
  /** Where there is `serve`, it has no addresses: it is how the gateway logs in at a target, without credentials if it does not. */
  readonly upstream: UpstreamPlan;
  readonly serve?: ServePlan;
  /** Allow-list of host patterns (`*` within one name or address) for hosts that the client's own name supplies. */
  readonly targets?: readonly string[];
  /** Absent: everything passes. */
  readonly policy?: Policy;
  /** How its files are looked at; absent: not at all. */
  readonly sftp?: SftpPlan;
}

/** Where one address of a rule comes from. */
export interface AddressPlan {
  readonly host: Template;
  /** Digits after filling in; when a capture of it is absent, 22. */
  readonly port: Template;
}

export interface UpstreamPlan {
  /** The target that the addresses are of: then its pool and its ways hold. */
  readonly target?: string;
  readonly addresses: readonly AddressPlan[];
  readonly spread: "in-order" | "random";
  readonly user: Template;
  readonly credentials: readonly Credential[];
  readonly hostKey: HostKeyPolicy;
  readonly connectTimeoutMs: number;
  /** Accept `ssh-rsa` (SHA-1) signatures from this old upstream. */
  readonly dangerouslyAllowSha1?: boolean;
}

/** How the upstream's host key is judged: any source that is present may vouch for it; a revoked key is refused by all. */
export interface HostKeyPolicy {
  /** Files in known_hosts form, read at each connection. */
  readonly knownHosts?: readonly string[];
  /** `SHA256:…` */
  readonly fingerprints?: readonly string[];
  /** Lines of the form `ssh-ed25519 AAAA…`. */
  readonly keys?: readonly string[];
  /** Host CAs, lines of the same form. */
  readonly authorities?: readonly string[];
  /** A known_hosts file to which the first key seen for a host is added. */
  readonly acceptNew?: string;
  readonly dangerouslyAcceptAny?: boolean;
}

/** What was decided: where to go. Only `gateway/router.ts` makes one. */
export interface Route {
  readonly [brand]: "Route";
  readonly rule: string;
  /** In the order to try. */
  readonly addresses: readonly HostPort[];
  readonly user: string;
  /** The target that it leads to, where it is one. */
  readonly target?: string;
  /** For templates of the rule's adapters. */
  readonly captures: Captures;
  /** The key or certificate by which the rule was chosen, where it asks for one. */
  readonly matchedKey?: Uint8Array;
  readonly login: readonly LoginStep[];
  readonly plan: UpstreamPlan;
  /** The rule's allow-list of hosts; absent: a login can lead nowhere but where the rule says. */
  readonly targets?: readonly string[];
  /** Present: there is no upstream, and no address. */
  readonly serve?: ServePlan;
  /** What who is in may do; absent: everything. */
  readonly policy?: Policy;
  /** How its files are looked at; absent: not at all. */
  readonly sftp?: SftpPlan;
  /** Of a rule with mounts: the way to each, in their order. */
  readonly mounts?: readonly MountRoute[];
}

/** Where one mount leads. */
export interface MountRoute {
  /** Its place in the client's tree: absolute. */
  readonly at: string;
  readonly plan: MountPlan;
  readonly route: Route;
}

import { type Captures, normalAddress } from "#base";
import type { Policy, Restrictions } from "#contract";
import { matchPattern, mayListen, mayOpen } from "#ssh/keys";
import type { Asked } from "./asked.ts";

/** Who is there, for `setEnv` and `tellUpstream`. */
export interface Someone {
  readonly session: string;
  readonly user: string;
  /** Address without port, or `unix`. */
  readonly from: string;
  readonly rule: string;
  /** SSH's name of the method, and what was shown: a key's fingerprint. */
  readonly method: string;
  readonly by: string;
  readonly captures: Captures;
}

/** What one session may do: the rule's policy, and what its key or certificate takes away from it. */
export class Permissions {
  readonly #policy: Policy | undefined;
  readonly #restrictions: readonly Restrictions[];
  /** Runs in place of whatever the client asks for. */
  readonly forcedCommand: string | undefined;
  /** Set at the upstream before anything runs there. */
  readonly environment: ReadonlyMap<string, string>;

  private constructor(policy: Policy | undefined, restrictions: readonly Restrictions[], someone: Someone) {
    this.#policy = policy;
    this.#restrictions = restrictions;
    const forced = restrictions.flatMap(({ forcedCommand }) => forcedCommand ?? []);
    this.forcedCommand = policy?.forcedCommand ?? forced[0];
    this.environment = environmentOf(policy, restrictions, someone);
  }

  /** Undefined: everything passes, and nothing needs to be looked at. */
  static of(
    policy: Policy | undefined,
    restrictions: readonly Restrictions[],
    someone: Someone,
  ): Permissions | undefined {
    if (policy === undefined && restrictions.length === 0) return undefined;
    return new Permissions(policy, restrictions, someone);
  }

  /**
   * Why something may not be, in a sentence for the person at the client; undefined if it may. Where a command is forced, what is
   * asked is that command.
   */
  refusal(asked: Asked): string | undefined {
    return this.#byRule(asked) ?? this.#byKey(asked);
  }

  #byRule(asked: Asked): string | undefined {
    if (asked.kind === "malformed") return "The request cannot be read.";
    const policy = this.#policy;
    if (policy === undefined) return undefined;
    switch (asked.kind) {
      case "session":
      case "routine":
        return undefined;
      case "shell":
        return policy.shell ? undefined : "A shell is not allowed here.";
      case "exec":
        if (policy.forcedCommand !== undefined) return undefined;
        return mayRun(policy, asked.command) ? undefined : "This command is not allowed here.";
      case "subsystem":
        return this.#subsystem(policy, asked.name);
      case "env":
        return this.#variable(policy, asked.name);
      case "pty":
        return policy.pty ? undefined : "A terminal is not allowed here.";
      case "x11":
        return policy.x11 ? undefined : "X11 is not allowed here.";
      case "agent":
        return policy.agent ? undefined : "Forwarding of the agent is not allowed here.";
      case "forward-local":
        return listed(policy.forwardLocal, asked)
          ? undefined
          : `Connections to ${placeOf(asked)} are not allowed here.`;
      case "forward-remote":
        return listed(policy.forwardRemote, asked)
          ? undefined
          : `Listening at ${placeOf(asked)} is not allowed here.`;
      case "tunnel":
        return policy.other ? undefined : "Tunnels are not allowed here.";
      case "other":
        return policy.other ? undefined : "This is not allowed here.";
    }
  }

  #subsystem(policy: Policy, name: string): string | undefined {
    if (policy.forcedCommand !== undefined) return undefined;
    if (name === "sftp") return policy.sftp || policy.scp ? undefined : "File transfer is not allowed here.";
    return oneOf(policy.subsystems, name) ? undefined : `The subsystem "${name}" is not allowed here.`;
  }

  #variable(policy: Policy, name: string): string | undefined {
    return oneOf(policy.env, name) ? undefined : `The variable ${name} is not allowed here.`;
  }

  /** What the gateway says to the upstream, nobody else may say. */
  #byKey(asked: Asked): string | undefined {
    if (asked.kind === "env" && this.#isOurs(asked.name)) return `${asked.name} is set by the gateway.`;
    for (const restrictions of this.#restrictions) {
      const what = restrictedBy(restrictions, asked);
      if (what !== undefined) return `Your ${restrictions.of} does not allow ${what}.`;
    }
    return undefined;
  }

  #isOurs(name: string): boolean {
    if (this.environment.has(name)) return true;
    if (name.startsWith("POSTERN_")) return this.#policy?.tellUpstream === true;
    return name === originalCommand && this.forcedCommand !== undefined;
  }
}

/** What sshd calls the command that the client asked for, where another runs in its place. */
export const originalCommand = "SSH_ORIGINAL_COMMAND";

function restrictedBy(restrictions: Restrictions, asked: Asked): string | undefined {
  switch (asked.kind) {
    case "pty":
      return restrictions.pty ? undefined : "a terminal";
    case "x11":
      return restrictions.x11Forwarding ? undefined : "X11";
    case "agent":
      return restrictions.agentForwarding ? undefined : "forwarding of the agent";
    case "tunnel": {
      const { tunnel = "any", portForwarding } = restrictions;
      return portForwarding && (tunnel === "any" || tunnel === asked.unit) ? undefined : "this tunnel";
    }
    case "forward-local":
    case "forward-remote":
      return mayForward(restrictions, asked) ? undefined : `forwarding of ${placeOf(asked)}`;
    default:
      return undefined;
  }
}

type Forwarding = Asked & { readonly kind: "forward-local" | "forward-remote" };

function mayForward(restrictions: Restrictions, asked: Forwarding): boolean {
  if (!restrictions.portForwarding) return false;
  const permits = asked.kind === "forward-local" ? restrictions.permitOpen : restrictions.permitListen;
  if (permits === undefined) return true;
  // The lists know hosts and ports only: a socket stands on none.
  if ("path" in asked) return false;
  const check = asked.kind === "forward-local" ? mayOpen : mayListen;
  return check(permits, asked.host, asked.port);
}

/** For people: `db.example.lan:5432`, or a path. */
export function placeOf(asked: Forwarding): string {
  if ("path" in asked) return asked.path;
  const { host, port } = asked;
  return `${host.includes(":") ? `[${host}]` : host || "*"}:${port}`;
}

function oneOf(rule: boolean | readonly string[], name: string): boolean {
  return typeof rule === "boolean" ? rule : rule.some((pattern) => matchPattern(name, pattern));
}

/** What a shell acts upon: a pattern's `*` and `?` never stand for it, else `git *` would allow `git x; anything`. */
const shellSigns = /([;&|<>$`()\r\n\0])/;

/** Whether a pattern fits the whole command. Signs that a shell acts upon fit only themselves. */
export function fitsCommand(command: string, pattern: string): boolean {
  const parts = command.split(shellSigns);
  const wanted = pattern.split(shellSigns);
  if (parts.length !== wanted.length) return false;
  return parts.every((part, at) =>
    at % 2 === 1 ? part === wanted[at] : matchPattern(part, wanted[at] ?? ""),
  );
}

/** The server's half of scp's old protocol, as scp itself writes it: only these options, no shell's work in the path. */
const scpServer =
  /^scp(?: -[rpdqv]+)*(?: -[rpdqv]*[tf][rpdqv]*)(?: -[rpdqv]+)*(?: -- [^\s].*| [^-\s](?:(?! -).)*)$/;

export function isScp(command: string): boolean {
  return scpServer.test(command) && !shellSigns.test(command);
}

/** What such a command names, and which way the files go; undefined: it is no such command. */
export function scpOf(command: string): { readonly path: string; readonly upload: boolean } | undefined {
  if (!isScp(command)) return undefined;
  const [, options = "", path = ""] = /^scp((?: -[rpdqvtf]+)*)(?: --)? (.*)$/s.exec(command) ?? [];
  return { path, upload: options.includes("t") };
}

function mayRun(policy: Policy, command: string): boolean {
  if (policy.scp && isScp(command)) return true;
  if (typeof policy.exec === "boolean") return policy.exec;
  return policy.exec.some((pattern) => fitsCommand(command, pattern));
}

function listed(rule: boolean | readonly string[], asked: Forwarding): boolean {
  if (typeof rule === "boolean") return rule;
  return rule.some((pattern) => {
    if (pattern === "*") return true;
    if ("path" in asked) return pattern.startsWith("/") && matchPattern(asked.path, pattern);
    return !pattern.startsWith("/") && fitsPlace(pattern, asked.host, asked.port);
  });
}

/** `host:port`, `[v6]:port`; the port a number, a range or `*`. */
const placePattern = /^(?:\[([^\]]+)\]|([^:[\]]*)):(?:(\*)|([0-9]{1,5})(?:-([0-9]{1,5}))?)$/;

function fitsPlace(pattern: string, host: string, port: number): boolean {
  const [, v6, name, any, first, last = first] = placePattern.exec(pattern) ?? [];
  if (any === undefined && !(Number(first) <= port && port <= Number(last))) return false;
  const wanted = (v6 ?? name ?? "").toLowerCase();
  return matchPattern(normalAddress(host).toLowerCase(), normalAddress(wanted));
}

function environmentOf(
  policy: Policy | undefined,
  restrictions: readonly Restrictions[],
  someone: Someone,
): Map<string, string> {
  const found = new Map<string, string>();
  for (const { environment } of restrictions) for (const [name, value] of environment) found.set(name, value);
  const values = { ...someone.captures, from: someone.from };
  for (const [name, template] of Object.entries(policy?.setEnv ?? {})) {
    const value = template.expand(values);
    if (value !== undefined) found.set(name, value);
  }
  if (policy?.tellUpstream === true) {
    found.set("POSTERN_USER", someone.user);
    found.set("POSTERN_CLIENT", someone.from);
    found.set("POSTERN_SESSION", someone.session);
    found.set("POSTERN_RULE", someone.rule);
    found.set("POSTERN_METHOD", someone.method);
    found.set("POSTERN_PROOF", someone.by);
  }
  return found;
}

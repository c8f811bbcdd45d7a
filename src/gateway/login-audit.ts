import { formatHostPort, type HostPort, PosternError } from "#base";
import type { Auditor, Route } from "#contract";

export interface RefusedAttempt {
  readonly method: string;
  /** Fingerprint of the key shown. */
  readonly key?: string | undefined;
  readonly rule?: string | undefined;
  readonly subject?: string | undefined;
  readonly reason: string;
}

/** Tells the audit of one client's login; without an audit, nobody. */
export class LoginAudit {
  readonly #audit: Auditor | undefined;

  constructor(audit: Auditor | undefined) {
    this.#audit = audit;
  }

  refused(user: string, { method, key, rule, subject, reason }: RefusedAttempt): void {
    this.#audit?.({ event: "auth", user, method, outcome: "refused", key, rule, subject, reason });
  }

  /** `partial`: another step is due; `deferred`: the upstream is asked. */
  passed(
    user: string,
    outcome: "accepted" | "partial" | "deferred",
    method: string,
    rule: string,
    { by, subject }: { readonly by?: string; readonly subject?: string | undefined } = {},
  ): void {
    this.#audit?.({ event: "auth", user, method, outcome, rule, by, subject });
  }

  decided(user: string, { rule, addresses, user: upstreamUser }: Route): void {
    const upstream = addresses.map(formatHostPort);
    this.#audit?.({ event: "decision", user, rule, upstream, upstreamUser });
  }

  /** The login at the upstream came to an end. */
  entered(
    route: Route,
    address: HostPort | undefined,
    outcome: "entered" | "refused",
    reason?: string,
  ): void {
    this.#upstream(route, address, outcome, reason);
  }

  /** Does what leads to the upstream, and tells if that fails. */
  async watch<Made>(
    route: Route,
    address: () => HostPort | undefined,
    work: () => Promise<Made>,
  ): Promise<Made> {
    try {
      return await work();
    } catch (error) {
      const reason = error instanceof PosternError ? error.code : "the client left";
      this.#upstream(route, address(), "failed", reason);
      throw error;
    }
  }

  #upstream(
    { user: upstreamUser }: Route,
    address: HostPort | undefined,
    outcome: "entered" | "refused" | "failed",
    reason: string | undefined,
  ): void {
    const upstream = address === undefined ? undefined : formatHostPort(address);
    this.#audit?.({ event: "upstream-login", upstream, upstreamUser, outcome, reason });
  }
}

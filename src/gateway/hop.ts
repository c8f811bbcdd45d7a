import { formatHostPort, type HostPort } from "#base";
import type { Credential, Dialer, UpstreamPlan } from "#contract";
import type { Link } from "#link";
import { gatewayErrors } from "./errors.ts";
import { secured, type SecuredPorts } from "./secured.ts";
import { UpstreamLogin } from "./upstream-login.ts";

/** An SSH server on the way to a target, which the gateway logs in to for itself. */
export interface HopPlan extends Pick<UpstreamPlan, "hostKey" | "connectTimeoutMs" | "dangerouslyAllowSha1"> {
  readonly address: HostPort;
  readonly user: string;
  readonly credentials: readonly Credential[];
}

/** Connects to a jump host and logs in, as at an upstream, but for nobody. Throws UPSTREAM_ and OPERATOR_ errors. */
export async function enterHop(
  plan: HopPlan,
  ports: SecuredPorts,
  through: Dialer,
  signal: AbortSignal,
): Promise<Link> {
  const { address, user, credentials, connectTimeoutMs: timeoutMs } = plan;
  const { clock, handshakeMs } = ports.settings;
  const link = await secured(plan, address, ports, signal, {
    dial: () => through.dial(address, { timeoutMs, signal }),
  });
  const login = new UpstreamLogin({
    link,
    address,
    user,
    credentials,
    allowSha1: plan.dangerouslyAllowSha1 === true,
    answerMs: handshakeMs,
    clock,
    log: ports.log,
  });
  try {
    const context = { sessionId: "jump", user, captures: { user }, upstreamUser: user };
    const outcome = await login.login(context, false);
    if (outcome.kind === "entered") return link;
    throw new gatewayErrors.UPSTREAM_LOGIN_REFUSED(`${user}@${formatHostPort(address)}`);
  } catch (error) {
    await login[Symbol.asyncDispose]();
    throw error;
  }
}

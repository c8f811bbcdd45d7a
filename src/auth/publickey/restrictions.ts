import type { Restrictions } from "#contract";
import type { certificateOptions, KeyOptions } from "#ssh/keys";

/**
 * What a line of authorized_keys, and the certificate that it let in, take from the session; nothing for one that takes nothing.
 * `no-user-rc` is not among them: the upstream's sshd runs that file, or not, by its own lights.
 */
export function restrictionsOf(
  options: KeyOptions,
  certified: ReturnType<typeof certificateOptions> | undefined,
): readonly Restrictions[] {
  const found: Restrictions[] = [];
  if (certified !== undefined) {
    const { pty, portForwarding, agentForwarding, x11Forwarding, forceCommand } = certified;
    found.push({
      of: "certificate",
      pty,
      portForwarding,
      agentForwarding,
      x11Forwarding,
      ...(forceCommand === undefined ? {} : { forcedCommand: forceCommand }),
      environment: new Map(),
    });
  }
  const { pty, portForwarding, agentForwarding, x11Forwarding, command } = options;
  const { environment, permitOpen, permitListen, tunnel } = options;
  found.push({
    of: "key",
    pty,
    portForwarding,
    agentForwarding,
    x11Forwarding,
    environment,
    ...(command === undefined ? {} : { forcedCommand: command }),
    ...(permitOpen === undefined ? {} : { permitOpen }),
    ...(permitListen === undefined ? {} : { permitListen }),
    ...(tunnel === undefined ? {} : { tunnel }),
  });
  return found.filter(restricts);
}

function restricts(each: Restrictions): boolean {
  const free = each.pty && each.portForwarding && each.agentForwarding && each.x11Forwarding;
  const lists = each.permitOpen ?? each.permitListen ?? each.tunnel;
  return !free || lists !== undefined || each.forcedCommand !== undefined || each.environment.size > 0;
}

/**
 * Our version line on each leg.
 *
 * OpenSSH uses some of its extensions only with peers whose name begins as its own: without that a client sends no
 * `eow@openssh.com`, so a command upstream never learns that nobody reads its output any more. To the client we say that we speak
 * these extensions, as most upstreams do; to the upstream we say so if the client does, since it is the client that will be spoken to.
 */
const alike = "OpenSSH_";

export function versionLines(name: string): { readonly alike: string; readonly plain: string } {
  return { alike: `SSH-2.0-${alike}${name}`, plain: `SSH-2.0-${name}` };
}

/** What to call ourselves upstream for a client with this version line. */
export function upstreamVersion(name: string, clientVersion: string): string {
  const lines = versionLines(name);
  return /^SSH-(?:2\.0|1\.99)-OpenSSH/.test(clientVersion) ? lines.alike : lines.plain;
}

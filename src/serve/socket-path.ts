/** The last part of a socket's path without `.sock`: one socket for each target, as `nc -U /home/host/web1.sock` has it. */
export function nameOfPath(path: string): string | undefined {
  const found = /^\/(?:[^/\0]+\/)*([^/\0]+)$/.exec(path)?.[1];
  if (found === undefined || found === "." || found === "..") return undefined;
  return found.replace(/\.sock$/, "");
}

/** What a device may be called: also a file's name, and most of them a part of a domain name. */
const form = /^[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?$/;

/** What OpenSSH sends in place of a name where the command line of `-R` has none, and addresses, which are nobody's. */
const noNames: ReadonlySet<string> = new Set(["", "localhost", "*", "0.0.0.0", "::", "127.0.0.1", "::1"]);

/** Whether a request for a tunnel names nobody. */
export function isUnnamed(said: string): boolean {
  return noNames.has(said);
}

export function isDeviceName(name: string): boolean {
  return form.test(name) && !name.includes("..") && !isUnnamed(name) && !/^[0-9.]+$/.test(name);
}

/** The name that a device means by what it said, in lower case; undefined when that can be none. */
export function deviceName(said: string): string | undefined {
  const name = said.toLowerCase();
  return isDeviceName(name) ? name : undefined;
}

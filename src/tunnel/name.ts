/** What a device may be called: also a file's name, and most of them a part of a domain name. */
const form = /^[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?$/;

export function isDeviceName(name: string): boolean {
  return form.test(name) && !name.includes("..");
}

/** The name that a device means by what it said, in lower case; undefined when that can be none. */
export function deviceName(said: string): string | undefined {
  const name = said.toLowerCase();
  return isDeviceName(name) ? name : undefined;
}

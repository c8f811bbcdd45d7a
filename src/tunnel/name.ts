/** What a device may be called: also a file's name, and most of them a part of a domain name. */
const label = "[a-z0-9](?:[a-z0-9_-]*[a-z0-9])?";
const form = new RegExp(`^(?=.{1,63}$)(?:${label}\\.)*${label}$`);

/** Words of devices (serve/device), which a name must not be taken for. */
const words: ReadonlySet<string> = new Set(["certificate", "renewal"]);

export function isDeviceName(name: string): boolean {
  // What ends like a number is an address to some (WHATWG URL, section 3.5), and no rule leads there.
  const last = name.split(".").at(-1) ?? "";
  const numeric = /^(?:[0-9]+|0x[0-9a-f]*)$/.test(last);
  return form.test(name) && name !== "localhost" && !words.has(name) && !numeric;
}

/** The name that a device means by what it said, in lower case; undefined when that can be none. */
export function deviceName(said: string): string | undefined {
  // In lower case the Kelvin sign is a k: a name that looks like another's to no one and is it.
  if (!/^[\x21-\x7e]*$/.test(said)) return undefined;
  const name = said.toLowerCase();
  return isDeviceName(name) ? name : undefined;
}

/** Host names as authorities take them (RFC 1123, section 2.1), in lower case, with a dot, and no address. */
const form = /^(?=.{4,253}$)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])$/;

/** Whether a certificate can be had for it, and it can be the name of a file. */
export function isCertifiable(name: string): boolean {
  return form.test(name);
}

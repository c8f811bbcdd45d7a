import type { SideFile } from "./imported.ts";

/** Folder beside the result for what is secret, one file for each. */
const secretsFolder = "secrets";

/** A password that `${file:…}` brings back as it was: the loader takes one line end away. */
export function passwordFile(name: string, password: string): SideFile {
  const content = password.endsWith("\r") ? password : `${password}\n`;
  return { path: `${secretsFolder}/${name}.password`, content, mode: 0o600 };
}

/** A private key, which its reader takes as it is. */
export function keyFile(name: string, content: string): SideFile {
  return { path: `${secretsFolder}/${name}.key`, content, mode: 0o600 };
}

/** Host keys, which are no secret but stand with the others of their rule. */
export function knownHostsFile(name: string, content: string): SideFile {
  return { path: `${secretsFolder}/${name}.known_hosts`, content, mode: 0o600 };
}

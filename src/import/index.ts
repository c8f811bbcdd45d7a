/**
 * import: the configurations of other gateways, written as ours.
 *
 * Law: what it reads is never run. A result allows no more than the other program meant to allow, and nothing that it cannot say is left
 * out in silence. It reads the files that a configuration names, and writes none.
 */
export { ImportInvalid, importErrors } from "./errors.ts";
export type { Imported, ImportOptions, SideFile } from "./imported.ts";
export { importPysshrp } from "./pysshrp.ts";
export { importSshpiper, type SshpiperOptions } from "./sshpiper.ts";

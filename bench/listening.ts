import { readFile } from "node:fs/promises";

/** Whether something listens at this port of 127.0.0.1. To connect would be a connection more: the kernel's table is asked. */
export async function listening(port: number): Promise<boolean> {
  const hex = port.toString(16).toUpperCase().padStart(4, "0");
  const table = await readFile("/proc/net/tcp", "latin1");
  return new RegExp(`^ *\\d+: 0100007F:${hex} 00000000:0000 0A `, "m").test(table);
}

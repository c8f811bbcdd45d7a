import { readdir, readFile } from "node:fs/promises";

/** Field 4 of /proc/PID/stat, counted after the name, which may hold spaces. */
async function parentOf(pid: number): Promise<number | undefined> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, "latin1");
    return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
  } catch {
    return undefined;
  }
}

/** All processes below one, children before grandchildren. */
export async function descendants(pid: number): Promise<number[]> {
  const byParent = new Map<number, number[]>();
  for (const name of await readdir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const parent = await parentOf(Number(name));
    if (parent !== undefined) byParent.set(parent, [...(byParent.get(parent) ?? []), Number(name)]);
  }
  const found = [...(byParent.get(pid) ?? [])];
  for (const each of found) found.push(...(byParent.get(each) ?? []));
  return found;
}

/** Resident memory of one process in bytes. */
export async function residentBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "latin1");
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1];
  if (kilobytes === undefined) throw new Error(`process ${pid} has no resident memory`);
  return Number(kilobytes) * 1024;
}

/** User and system time of one process, all its threads, in seconds. */
export async function cpuSeconds(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, "latin1");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const ticksPerSecond = 100;
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}

/** Real user and group numbers, and supplementary groups, of one process. */
export async function identityOf(pid: number): Promise<{ uids: number[]; gids: number[]; groups: number[] }> {
  const status = await readFile(`/proc/${pid}/status`, "latin1");
  const numbers = (name: string): number[] =>
    (new RegExp(`^${name}:(.*)$`, "m").exec(status)?.[1] ?? "")
      .trim()
      .split(/\s+/)
      .filter(Boolean)
      .map(Number);
  return { uids: numbers("Uid"), gids: numbers("Gid"), groups: numbers("Groups") };
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

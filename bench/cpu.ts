import { readFile } from "node:fs/promises";
import { descendants } from "#test/support/processes";
import { until } from "#test/support/waiting";

/** Of Linux, on every architecture that Node runs on. */
const ticksPerSecond = 100;

/** User and system time of a process, of all its threads, and of all its children that it has waited for. */
async function ownCpuSeconds(pid: number): Promise<number> {
  let stat: string;
  try {
    stat = await readFile(`/proc/${pid}/stat`, "latin1");
  } catch {
    return 0;
  }
  // Fields 14 to 17, counted after the name, which may hold spaces.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const [user = 0, system = 0, childUser = 0, childSystem = 0] = fields.slice(11, 15).map(Number);
  return (user + system + childUser + childSystem) / ticksPerSecond;
}

/** CPU seconds of a process and of all that it started, dead or alive. */
export async function treeCpuSeconds(pid: number): Promise<number> {
  let sum = 0;
  for (const each of [pid, ...(await descendants(pid))]) sum += await ownCpuSeconds(each);
  return sum;
}

/** Resident bytes of a process and of all that it started. */
export async function treeResidentBytes(pid: number): Promise<number> {
  let sum = 0;
  for (const each of [pid, ...(await descendants(pid))]) {
    const status = await readFile(`/proc/${each}/status`, "latin1").catch(() => "");
    sum += Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024;
  }
  return sum;
}

/** CPU seconds of all the children of this process that have ended. */
export async function endedChildrenCpuSeconds(): Promise<number> {
  const stat = await readFile("/proc/self/stat", "latin1");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[13]) + Number(fields[14])) / ticksPerSecond;
}

/** Waits until a daemon that forks for each connection has none left: their CPU time is then counted as its own. */
export async function childless(pid: number): Promise<void> {
  await until(`no children of process ${pid}`, async () => (await descendants(pid)).length === 0);
}

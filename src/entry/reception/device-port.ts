import { type Duplex, pipeline } from "node:stream";
import { PosternError } from "#base";
import type { DevicePort, Received, ReceptionDesk, Tunnels } from "#contract";

/** Time for a device to open a stream. */
const openMs = 15_000;

/** Joins a client with a device's port for which the listener was reserved: nothing of what it says is looked at. */
export async function atDevicePort(
  stream: Duplex,
  { device, port, from: allowed }: DevicePort,
  desk: ReceptionDesk,
  tunnels: Pick<Tunnels, "open"> | undefined,
): Promise<Received> {
  const name = `${device}:${port}`;
  const told = { event: "target", entry: "address", name, target: device } as const;
  const { from, audit, signal } = desk;
  const refuse = (outcome: "refused" | "failed", reason: string): Received => {
    audit?.({ ...told, outcome, reason });
    stream.destroy();
    return { kind: "refused", stream, tell: false, reason: `${name}: ${reason}` };
  };
  if (from.ip === undefined || !allowed.some((range) => range.contains(from.ip ?? "")))
    return refuse("refused", `${from.text} is not in its networks`);
  const origin = { host: from.ip, port: from.port ?? 0 };
  const late = AbortSignal.any([signal, AbortSignal.timeout(openMs)]);
  const gone = Promise.withResolvers<undefined>();
  const giveUp = (): void => gone.resolve(undefined);
  late.addEventListener("abort", giveUp, { once: true });
  if (late.aborted) giveUp();
  let upstream: Duplex | undefined;
  try {
    const opening = tunnels?.open(device, port, origin, late);
    opening?.catch(() => {});
    upstream = await Promise.race([opening, gone.promise]);
  } catch (error) {
    if (!(error instanceof PosternError)) throw error;
    return refuse("failed", error.code);
  } finally {
    late.removeEventListener("abort", giveUp);
  }
  if (upstream === undefined) return refuse("failed", "it does not answer");
  audit?.({ ...told, outcome: "opened" });
  return { kind: "served", stream, entry: "address", ended: joined(stream, upstream) };
}

/** Each side may end its own direction first; what breaks one ends both. */
async function joined(downstream: Duplex, upstream: Duplex): Promise<void> {
  const way = (from: Duplex, to: Duplex): Promise<void> =>
    new Promise((resolve) =>
      pipeline(from, to, (error) => {
        if (error) for (const each of [from, to]) each.destroy();
        resolve();
      }),
    );
  await Promise.all([way(downstream, upstream), way(upstream, downstream)]);
  for (const each of [downstream, upstream]) each.destroy();
}

import { PosternError, silentLog, systemClock } from "#base";
import type { Config } from "#config";
import type { DeviceReport } from "#contract";
import { setUpText } from "#serve";
import { formatPublicKey } from "#ssh/keys";
import { Files } from "./files.ts";
import { HostKeys } from "./host-keys.ts";

/** What the machine of an approved device needs, as it is told itself; without lines for known_hosts where the host keys cannot be read. */
export async function deviceSetUp({ devices, hostKeys }: Config, device: DeviceReport): Promise<string> {
  if (devices === undefined) return "";
  const ports = { clock: systemClock, log: silentLog, files: new Files(systemClock) };
  const keys = await HostKeys.read(hostKeys, ports).catch((error: unknown) => {
    if (!(error instanceof PosternError)) throw error;
    return undefined;
  });
  const lines = keys?.plain.map(({ publicKey }) => formatPublicKey(publicKey.blob)) ?? [];
  return setUpText(device, {
    gate: { ...devices.gate, hostKeys: () => lines },
    user: "device",
    certificateSeconds: devices.certificates?.validSeconds,
  });
}

/** Ports of the gateway that are one device's alone, for programs that can name no host. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { userInfo } from "node:os";
import { connect } from "node:net";
import { after, before, test } from "node:test";
import { type DeviceStand, startDeviceStand } from "#test/support/device-stand";
import { freePort } from "#test/support/ports";
import { runSsh } from "#test/support/ssh";
import { missing } from "#test/support/strangers";
import { until, within } from "#test/support/waiting";

const skip = missing("ssh", "sshd");
let stand: DeviceStand;
let own: number;

before(async () => {
  if (skip !== false) return;
  own = await freePort();
  const from = ["127.0.0.1/32"];
  stand = await startDeviceStand({
    devices: { tcp: [{ device: "Kiosk7", port: 22, listen: `127.0.0.1:${own}`, from }] },
  });
});
after(async () => {
  await stand?.[Symbol.asyncDispose]();
});

/** What a bare client is told before it is let go. */
async function told(localAddress: string): Promise<string> {
  const socket = connect({ host: "127.0.0.1", port: own, localAddress });
  let text = "";
  socket.on("data", (chunk: Buffer) => {
    text += chunk.toString("latin1");
    if (text.startsWith("SSH-")) socket.destroy();
  });
  socket.on("error", () => {});
  await within("the end", once(socket, "close"));
  return text;
}

test("while the device is away, whoever connects is let go", { skip }, async () => {
  assert.equal(await told("127.0.0.1"), "");
});

test("stock ssh to that port reaches the device, with data both ways", { skip }, async () => {
  const key = stand.key("kiosk7");
  await stand.enrol(key, "kiosk7");
  await using _ = stand.hold(key, ["-R", `kiosk7:22:127.0.0.1:${stand.sshd.port}`]);
  await stand.held("kiosk7");
  const knownHosts = stand.folder.at("known_hosts");
  const target = {
    host: "127.0.0.1",
    port: own,
    user: userInfo().username,
    knownHosts,
    identity: stand.ada.path,
  };
  const data = Buffer.alloc(3_000_000, "x");
  const { stdout, stderr } = await runSsh(target, ["echo at $PLACE; wc -c"], { stdin: { data } });
  assert.equal(stdout.toString(), "at device\n3000000\n", stderr);
  assert.equal(await told("127.0.0.9"), "", "a client from elsewhere");
  const outcomes = (): string =>
    readFileSync(stand.folder.at("audit.jsonl"), "utf8")
      .split("\n")
      .filter((line) => line.includes('"event":"target"') && line.includes('"kiosk7:22"'))
      .map((line) => (JSON.parse(line) as { readonly outcome: string }).outcome)
      .join();
  await until("the audit", () => outcomes() === "failed,opened,refused");
});

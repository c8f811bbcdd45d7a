/** Every way in leads to devices, by rules that name them, their tags or all of them; and no way leads past the rules. */
import assert from "node:assert/strict";
import { userInfo } from "node:os";
import { after, before, test } from "node:test";
import { run } from "#test/support/child";
import { selfSigned } from "#test/support/certificates";
import { type DeviceStand, startDeviceStand } from "#test/support/device-stand";
import { dialGateway, read } from "#test/support/entries";
import { debianPython, missing, stranger } from "#test/support/strangers";
import { noTerminal, runOnPty } from "#test/support/pty";
import { runSsh, sshCommand, sshSettings } from "#test/support/ssh";
import { tempDir, type TempDir } from "#test/support/temp-dir";
import { bareKey } from "#test/support/test-keys";
import { until } from "#test/support/waiting";
import { keyLogin } from "#test/support/world";

const skip = missing("ssh", "sshd", "openssl", "nc");
const skipTerminal = skip === false ? noTerminal : skip;
let folder: TempDir;
let stand: DeviceStand;

before(async () => {
  if (skip !== false) return;
  folder = await tempDir();
  const gate = await selfSigned(folder, "gate", "gate.example", "kiosk1", "kiosk2");
  stand = await startDeviceStand({
    reach: ["tag:hall1", "kiosk3"],
    config: {
      listen: [{ address: "127.0.0.1:0", entries: ["ssh", "tls", "http", "websocket", "version"] }],
      tls: { certificates: [gate], gatewayNames: ["gate.example"] },
    },
    rules: (ada, sshd) => {
      const upstream = {
        target: "fleet",
        user: userInfo().username,
        credentials: [{ kind: "key", file: ada.path }],
        hostKey: { keys: sshd.hostKeys.map((key) => bareKey(key.publicLine)) },
      };
      return [
        { name: "near", mode: "splice", match: { from: ["127.0.0.1"] }, targets: ["tag:hall1"] },
        {
          name: "straight",
          match: { userPattern: "(?<login>[a-z]+)\\+(?<device>kiosk[0-9]+)(?::(?<port>[0-9]+))?" },
          login: [keyLogin(ada)],
          targets: ["tag:hall1", "!tag:broken", "kiosk3"],
          upstream: { ...upstream, host: "{device}", port: "{port}" },
        },
        {
          name: "menu",
          match: { user: "menu" },
          login: [keyLogin(ada)],
          serve: "jump",
          targets: ["fleet"],
          upstream: {
            user: upstream.user,
            credentials: upstream.credentials,
            hostKey: upstream.hostKey,
          },
        },
      ];
    },
  });
  await Promise.all([
    stand.enrol(stand.key("k1"), "kiosk1", "-t", "hall1", "-p", "22", "-p", "80"),
    stand.enrol(stand.key("k2"), "kiosk2", "-t", "hall2"),
    stand.enrol(stand.key("k3"), "kiosk3"),
    stand.enrol(stand.key("k4"), "kiosk4", "-t", "hall1", "-t", "broken"),
  ]);
  const { port } = stand.sshd;
  for (const n of [1, 2, 3, 4]) {
    const child = stand.hold(stand.key(`k${n}`), [
      "-R",
      `kiosk${n}:22:127.0.0.1:${port}`,
      ...(n === 1 ? ["-R", `kiosk1:80:127.0.0.1:${port}`] : []),
    ]);
    held.push(child);
    await stand.held(`kiosk${n}`, n === 1 ? 2 : 1);
  }
});
const held: AsyncDisposable[] = [];
after(async () => {
  for (const each of held) await each[Symbol.asyncDispose]();
  await stand?.[Symbol.asyncDispose]();
  await folder?.[Symbol.asyncDispose]();
});

/** `ssh` to a device's own sshd by a proxy command. */
async function through(device: string, proxy: string): Promise<{ stdout: string; stderr: string }> {
  const settings = sshSettings(
    {
      host: device,
      port: 22,
      user: "",
      knownHosts: stand.folder.at("known_hosts"),
      identity: stand.ada.path,
    },
    { options: [`ProxyCommand=${proxy}`] },
  );
  const { stdout, stderr } = await run(stranger("ssh"), [
    ...settings,
    "-l",
    userInfo().username,
    device,
    "echo at $PLACE",
  ]);
  return { stdout: stdout.toString(), stderr };
}

const proxies = {
  sni: (device: string) =>
    `openssl s_client -quiet -connect 127.0.0.1:${stand.gateway.port} -servername ${device} 2>/dev/null`,
  connect: (device: string) => `nc -X connect -x 127.0.0.1:${stand.gateway.port} ${device} 22`,
  websocket: (device: string) =>
    `${debianPython} ${new URL("../support/python/websocket_pipe.py", import.meta.url).pathname} ws://127.0.0.1:${stand.gateway.port}/ssh/${device} ${folder.at("gate.pem")}`,
};

for (const [entry, proxy] of Object.entries(proxies)) {
  const missingHere = entry === "websocket" && skip === false ? missing("websockets") : skip;
  test(`by ${entry}: those that the rule's tag names, and no others`, { skip: missingHere }, async () => {
    const reached = await through("kiosk1", proxy("kiosk1"));
    assert.equal(reached.stdout, "at device\n", reached.stderr);
    for (const device of ["kiosk2", "kiosk3", "kiosk99", "fleet"])
      assert.equal((await through(device, proxy(device))).stdout, "", device);
  });
}

test("by the version line: the device's own sshd answers it", { skip }, async () => {
  const say = async (device: string): Promise<string> => {
    const client = await dialGateway(stand.gateway);
    client.write(`SSH-2.0-test Host: ${device}\r\n`);
    const said = await read(client, (text) => text.includes("\n"));
    client.destroy();
    return said;
  };
  assert.match(await say("kiosk1"), /^SSH-2.0-OpenSSH/);
  assert.doesNotMatch(await say("kiosk2"), /OpenSSH/);
});

test("by -J: by tag, by name, and by the port that was asked for", { skip }, async () => {
  for (const device of ["kiosk1", "kiosk3", "kiosk4"])
    assert.equal((await stand.jump(device, "echo yes")).stdout.toString(), "yes\n", device);
  assert.equal((await stand.jump("kiosk1", "echo yes", { flags: ["-p", "80"] })).stdout.toString(), "yes\n");
  for (const device of ["kiosk2", "kiosk99", "fleet"])
    assert.match((await stand.jump(device, "true")).stderr, /no such target/, device);
  const list = await runSsh(stand.person, ["ls", "--json"]);
  const { targets } = JSON.parse(list.stdout.toString()) as { targets: { name: string; online: boolean }[] };
  assert.deepEqual(
    targets.map(({ name, online }) => [name, online]),
    [
      ["kiosk1", true],
      ["kiosk3", true],
      ["kiosk4", true],
    ],
  );
});

test("a tag that is taken away shuts the way, one that is given opens it", { skip }, async () => {
  await stand.office("tag", "kiosk2", "hall1");
  const reaches = async (): Promise<boolean> =>
    (await stand.jump("kiosk2", "echo yes")).stdout.toString() === "yes\n";
  await until("kiosk2 is of hall1", reaches);
  await stand.office("tag", "-r", "kiosk2", "hall1");
  await until("kiosk2 is of hall1 no more", async () => !(await reaches()));
  assert.equal((await stand.office("show", "kiosk2")).online, true);
});

test("ssh user+kiosk1@gate: the gateway logs in there, for devices that the rule allows", {
  skip,
}, async () => {
  const as = (user: string) => runSsh(stand.gateway.target(user, stand.ada.path), ["echo at $PLACE"]);
  for (const user of ["ada+kiosk1", "ada+kiosk1:80", "ada+kiosk3"]) {
    const reached = await as(user);
    assert.equal(reached.stdout.toString(), "at device\n", `${user}: ${reached.stderr}`);
  }
  // Not of hall1; broken; not there; not offered.
  for (const user of ["ada+kiosk2", "ada+kiosk4", "ada+kiosk99", "ada+kiosk1:81", "ada+fleet"]) {
    const refused = await as(user);
    assert.notEqual(refused.code, 0, user);
    assert.equal(refused.stdout.toString(), "", user);
  }
});

test("the menu lists them, and leads there", { skip: skipTerminal }, async () => {
  const target = stand.gateway.target("menu", stand.ada.path);
  const { stdout } = await runOnPty(
    {
      command: [stranger("ssh"), ...sshCommand(target, [])],
      steps: [
        { expect: "kiosk1.*kiosk2.*kiosk3.*1/4", send: "kiosk2" },
        { expect: "1/1", send: "\r" },
        { expect: "[$#] ", send: "echo at $PLACE; exit\r" },
      ],
    },
    { env: { TERM: "xterm" } },
  );
  assert.match(stdout.toString(), /at device\r\n/);
});

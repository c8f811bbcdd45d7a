/** X11 forwarding, network tunnels, and what no one has heard of: channel types and requests that only the two ends know. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { copyFile } from "node:fs/promises";
import { randomBytes } from "node:crypto";
import { bothWays, directOnly, startBench, type Bench, type Way } from "#test/support/both-ways";
import { run, succeed } from "#test/support/child";
import { startListener, type Listener } from "#test/support/echo-server";
import { runSsh, spawnSsh } from "#test/support/ssh";
import { debianPython, missing } from "#test/support/strangers";
import { isRoot } from "#test/support/test-user";
import { until } from "#test/support/waiting";

let bench: Bench;
const skip = missing("ssh", "sshd", "xauth", "python3");
before(async () => {
  if (skip === false) bench = await startBench({ moreUsers: isRoot ? ["root"] : [] });
});
after(async () => {
  await bench?.[Symbol.asyncDispose]();
});
const script = (name: string): string => new URL(`../support/python/${name}`, import.meta.url).pathname;

/** An X display that checks the cookie and says 100 kB. */
async function startDisplay(cookie: string): Promise<{ listener: Listener; number: number; seen: string[] }> {
  const seen: string[] = [];
  for (let number = 50; ; number += 1) {
    try {
      const listener = await startListener(
        (socket) => {
          let setup = Buffer.alloc(0);
          socket.on("data", (chunk: Buffer) => {
            setup = Buffer.concat([setup, chunk]);
            if (setup.length < 12 + 20 + 16 || seen.length >= 9) return;
            seen.push(setup.subarray(32, 48).toString("hex") === cookie ? "right cookie" : "wrong cookie");
            socket.end(Buffer.alloc(100_000, 1));
          });
        },
        { port: 6000 + number },
      );
      return { listener, number, seen };
    } catch (error) {
      if (number > 99) throw error;
    }
  }
}

bothWays(
  "X11: a client on the upstream reaches the display here, with the cookie that ssh put in its place",
  () => bench,
  async ({ target, folder }) => {
    const cookie = randomBytes(16).toString("hex");
    const display = await startDisplay(cookie);
    await using held = new AsyncDisposableStack();
    held.use(display.listener);
    const env = { DISPLAY: `127.0.0.1:${display.number}`, XAUTHORITY: folder.at("xauthority") };
    await succeed("xauth", ["add", env.DISPLAY, "MIT-MAGIC-COOKIE-1", cookie], { env });
    await copyFile(script("x11_client.py"), folder.at("client.py"));
    const command = [`/usr/bin/python3 ${folder.at("client.py")}`];
    const { code, stdout, stderr } = await runSsh(target, command, { flags: ["-Y"], env });
    assert.equal(code, 0, stderr);
    assert.deepEqual([stdout.toString(), display.seen], ["100000 bytes, sum 100000\n", ["right cookie"]]);
  },
  { skip },
);

const tunSkip: string | false =
  skip === false && !isRoot ? "needs root: makes network interfaces" : missing("ip") || skip;

/** A layer-3 tunnel between two new interfaces, up; one ping over it. */
async function tunnel({ target, bench: { sshd, keys }, t }: Way): Promise<void> {
  const root = { ...target, user: "root", identity: keys.key("ed25519", "client").path };
  const before = await interfaces();
  await using ssh = spawnSsh(root, ["echo up; cat"], {
    stdin: "open",
    flags: ["-v", "-w", "any:any"],
    options: ["Tunnel=point-to-point"],
  });
  const refused =
    /Tunnel device open failed|Tunnel forwarding failed|open failed: .*|administratively prohibited/;
  const ready = await ssh.waitFor("the tunnel", () =>
    refused.test(ssh.stderr) ? "refused" : ssh.stdout.includes("up") && "up",
  );
  const made =
    ready === "up"
      ? await until(
          "two interfaces",
          async () => {
            const fresh = (await interfaces()).filter((name) => !before.includes(name));
            return fresh.length >= 2 && fresh;
          },
          10_000,
        ).catch(() => [])
      : [];
  if (made.length < 2) {
    t.skip(
      `this machine does not permit tunnel devices: ${
        sshd.child.stderr
          .split("\n")
          .filter((line) => /tun/i.test(line))
          .at(-1) ?? ""
      }`,
    );
    return;
  }
  for (const name of made) await succeed("ip", ["link", "set", name, "up"]);
  // A packet for the far address leaves by one interface, crosses the tunnel and is counted on the other.
  const [near = "", far = ""] = made;
  await succeed("ip", ["addr", "add", "10.255.77.1", "peer", "10.255.77.2", "dev", near]);
  await run(debianPython, [
    "-c",
    `import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.sendto(b"across", ("10.255.77.2", 9))`,
  ]);
  await until("a packet on the far interface", async () => {
    const packets = await succeed("cat", [`/sys/class/net/${far}/statistics/rx_packets`]);
    return Number(packets) > 0;
  });
}

async function interfaces(): Promise<string[]> {
  return (await succeed("ip", ["-o", "link"]))
    .split("\n")
    .flatMap((line) => /^\d+: (tun\d+)/.exec(line)?.[1] ?? []);
}

bothWays("tun@openssh.com: packets cross a network tunnel (-w)", () => bench, tunnel, { skip: tunSkip });

bothWays(
  "global requests that nobody knows are refused one by one, in order",
  () => bench,
  async ({ target }) => {
    const { code, stdout, stderr } = await run(debianPython, [
      "-W",
      "ignore",
      script("unknown_requests.py"),
      target.host,
      String(target.port),
      target.user,
      target.identity ?? "",
    ]);
    assert.equal(code, 0, stderr);
    assert.match(stdout.toString(), /^no yes no no yes no\nchannel refused with \d\nrequest refused\n$/);
    return stdout.toString();
  },
  { skip: missing("paramiko") || skip },
);

test("the checks ran both ways", { skip: directOnly ? "direct only" : false }, () => {
  assert.ok(skip !== false || bench.through !== undefined);
});

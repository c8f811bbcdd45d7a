/** What a client may ask of its own connection: rekeying, keepalives, many sessions in one, compression, RSA, more host keys. */
import assert from "node:assert/strict";
import { after, before } from "node:test";
import { copyFile, readFile, writeFile } from "node:fs/promises";
import { bothWays, startBench, type Bench } from "#test/support/both-ways";
import { succeed } from "#test/support/child";
import { sha256, testBytes } from "#test/support/data";
import { runSsh, spawnSsh, sshReady } from "#test/support/ssh";
import { missing } from "#test/support/strangers";
import { bareKey, knownHostsLine } from "#test/support/test-keys";
import { until } from "#test/support/waiting";

let bench: Bench;
const skip = missing("ssh", "sshd");
before(async () => {
  const kinds = ["ed25519", "ecdsa-256"] as const;
  if (skip === false)
    bench = await startBench({
      byAgent: true,
      sshd: { hostKeys: kinds },
      gateway: { hostKeys: kinds },
      clientKeys: ["rsa"],
    });
});
after(async () => {
  await bench?.[Symbol.asyncDispose]();
});
const both = <T>(name: string, check: Parameters<typeof bothWays<T>>[2]): void =>
  bothWays(name, () => bench, check, { skip, byAgent: true });

both("RekeyLimit 1M: 20 MB each way, keys exchanged again and again", async ({ target }) => {
  const data = testBytes(20_000_000, 11);
  const { code, stdout, stderr } = await runSsh(target, ["cat"], {
    stdin: { data },
    flags: ["-v"],
    options: ["RekeyLimit=1M"],
  });
  assert.equal(code, 0);
  assert.equal(sha256(stdout), sha256(data));
  const rekeys = stderr.match(/SSH2_MSG_KEXINIT sent/g)?.length ?? 0;
  assert.ok(rekeys > 5, `${rekeys} key exchanges`);
});

both("RekeyLimit by time: a quiet session lives through it", async ({ target }) => {
  await using ssh = spawnSsh(target, ["cat"], {
    stdin: "open",
    flags: ["-v"],
    options: ["RekeyLimit=default 1"],
  });
  let lines = 0;
  await ssh.waitFor("three key exchanges", () => {
    const exchanges = ssh.stderr.match(/SSH2_MSG_NEWKEYS received/g)?.length ?? 0;
    if (exchanges > lines) {
      lines = exchanges;
      ssh.stdin.write(`line ${lines}\n`);
    }
    return exchanges >= 3 && ssh.stdout.toString().includes("line 3\n");
  });
  ssh.stdin.end();
  const { code, stdout } = await ssh.outcome();
  assert.deepEqual([code, stdout.toString()], [0, "line 1\nline 2\nline 3\n"]);
});

both("ServerAliveInterval: keepalives are answered", async ({ target }) => {
  await using ssh = spawnSsh(target, ["cat"], {
    stdin: "open",
    flags: ["-vvv"],
    options: ["ServerAliveInterval=1", "ServerAliveCountMax=2"],
  });
  // REQUEST_SUCCESS or REQUEST_FAILURE: either says that somebody lives there.
  await ssh.waitFor(
    "three answers",
    () => (ssh.stderr.match(/receive packet: type 8[12]/g)?.length ?? 0) >= 3,
  );
  ssh.stdin.end("alive\n");
  const { code, stdout } = await ssh.outcome();
  assert.deepEqual([code, stdout.toString()], [0, "alive\n"]);
});

both("ControlMaster: 20 sessions at once in one connection", async ({ target, folder }) => {
  const control = folder.at("control");
  await using master = spawnSsh(target, [], { flags: ["-M", "-N", "-S", control, "-v"] });
  await sshReady(master);
  const numbers = Array.from({ length: 20 }, (_, index) => index + 1);
  const answers = await Promise.all(
    numbers.map(async (number) => {
      const data = testBytes(200_000 + number, number);
      const script = `sha256sum | cut -c 1-64; echo error ${number} >&2; exit ${number}`;
      const { code, stdout, stderr } = await runSsh(target, [script], {
        flags: ["-S", control],
        stdin: { data },
      });
      assert.equal(stdout.toString().trim(), sha256(data));
      return `${code} ${stderr.trim()}`;
    }),
  );
  assert.deepEqual(
    answers,
    numbers.map((number) => `${number} error ${number}`),
  );
  await succeed("ssh", ["-S", control, "-O", "exit", target.host]);
  await master.outcome();
});

both("-C: the data arrive, compressed or not", async ({ target }) => {
  const data = Buffer.alloc(3_000_000, "compress me if you can ");
  const { code, stdout } = await runSsh(target, ["cat"], { stdin: { data }, flags: ["-C"] });
  assert.equal(code, 0);
  assert.equal(sha256(stdout), sha256(data));
});

for (const algorithm of ["rsa-sha2-256", "rsa-sha2-512"]) {
  both(`an RSA key logs in by ${algorithm}`, async ({ target, bench: { keys } }) => {
    const rsa = keys.key("rsa", "client");
    const { code, stderr } = await runSsh({ ...target, identity: rsa.path }, ["true"], {
      flags: ["-v"],
      options: [`PubkeyAcceptedAlgorithms=${algorithm}`],
    });
    assert.equal(code, 0, stderr);
    assert.match(stderr, /Server accepts key.*RSA/);
  });
}

both("server-sig-algs names the algorithms of today, and only real ones", async ({ target, name: way }) => {
  const { stderr } = await runSsh(target, ["true"], { flags: ["-v"] });
  const list = /server-sig-algs=<([^>]*)>/.exec(stderr)?.[1]?.split(",") ?? [];
  const known = new Set((await succeed("ssh", ["-Q", "sig"])).trim().split("\n"));
  const needed = [
    "ssh-ed25519",
    "rsa-sha2-256",
    "rsa-sha2-512",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
  ];
  const modern = ["ecdsa-sha2-nistp521", "sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com"];
  for (const name of [...needed, ...modern]) assert.ok(list.includes(name), `${name} in ${list.join(",")}`);
  for (const name of list) assert.ok(known.has(name), `${name} is a signature algorithm`);
  if (way !== "direct") assert.ok(!list.includes("ssh-rsa"), "SHA-1 is not offered");
});

both(
  "UpdateHostKeys: the client learns the other host keys of what it reached, and no one else's",
  async (way) => {
    const { target, folder, bench: all } = way;
    const gateway = way.name === "through the gateway" ? all.gateway : all.agentGateway;
    const reached = way.name === "direct" ? all.sshd.hostKeys : (gateway?.hostKeys ?? []);
    const [first] = reached;
    assert.ok(first);
    const knownHosts = folder.at("known_hosts");
    await writeFile(knownHosts, `${knownHostsLine(target.host, target.port, first.publicLine)}\n`);
    const settled = folder.at("before");
    await copyFile(knownHosts, settled);
    const learns = { ...target, knownHosts };
    await using ssh = spawnSsh(learns, ["cat"], {
      stdin: "open",
      flags: ["-v"],
      options: ["UpdateHostKeys=yes", "HostKeyAlgorithms=ssh-ed25519,ecdsa-sha2-nistp256"],
    });
    const blobs = async (): Promise<string[]> =>
      (await readFile(knownHosts, "utf8"))
        .split("\n")
        .filter((line) => line !== "" && !line.startsWith("#"))
        .map((line) => line.split(" ").slice(1, 3).join(" "));
    await until("a second host key", async () => (await blobs()).length >= 2, 15_000);
    ssh.stdin.end();
    assert.equal((await ssh.outcome()).code, 0);
    assert.deepEqual((await blobs()).sort(), reached.map((key) => bareKey(key.publicLine)).sort());
  },
);

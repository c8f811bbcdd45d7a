/** `postern connect` and `postern ssh --via` through gates of others: HAProxy by SNI, tinyproxy by CONNECT with a login. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { userInfo } from "node:os";
import { test } from "node:test";
import { Child, succeed } from "#test/support/child";
import { startClientLab } from "#test/support/client-lab";
import { program } from "#test/support/gateway";
import { freePort } from "#test/support/ports";
import { runSsh } from "#test/support/ssh";
import { startSshd } from "#test/support/sshd";
import { missing, programPath, stranger } from "#test/support/strangers";
import { until } from "#test/support/waiting";

const skip = missing("ssh", "sshd", "openssl", "haproxy", "tinyproxy", "nc");
const me = userInfo().username;

async function listening(child: Child, port: number): Promise<void> {
  await until("the proxy", async () => {
    if (!child.running) throw new Error(child.stderr);
    const probe = new Child(programPath("nc") ?? "nc", ["-z", "127.0.0.1", String(port)]);
    return (await probe.outcome()).code === 0;
  });
}

test("HAProxy picks the host by SNI", { skip }, async () => {
  await using lab = await startClientLab({ config: ["SetEnv TARGET=web1"] });
  const authorizedKeys = [readFileSync(lab.sshd.authorizedKeysFile, "utf8").trim()];
  const hostKeyFiles = lab.sshd.hostKeys;
  await using second = await startSshd({ authorizedKeys, hostKeyFiles, config: ["SetEnv TARGET=web2"] });
  const [key, certificate] = [lab.folder.at("gate.key"), lab.folder.at("gate.pem")];
  const request = "req -x509 -days 2 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=gate".split(
    " ",
  );
  const names = ["-addext", "subjectAltName=DNS:web1,DNS:web2"];
  await succeed(stranger("openssl"), [...request, ...names, "-keyout", key, "-out", certificate]);
  const both = lab.folder.at("both.pem");
  await writeFile(both, readFileSync(certificate, "utf8") + readFileSync(key, "utf8"));
  const port = await freePort();
  const file = lab.folder.at("haproxy.cfg");
  const lines = [
    "defaults",
    "  mode tcp",
    "  timeout connect 5s",
    "  timeout client 60s",
    "  timeout server 60s",
    "frontend gate",
    `  bind 127.0.0.1:${port} ssl crt ${both}`,
    "  use_backend two if { ssl_fc_sni web2 }",
    "  default_backend one",
    "backend one",
    `  server one 127.0.0.1:${lab.sshd.port}`,
    "backend two",
    `  server two 127.0.0.1:${second.port}`,
    "",
  ];
  await writeFile(file, lines.join("\n"));
  await using haproxy = new Child(stranger("haproxy"), ["-db", "-f", file]);
  await listening(haproxy, port);
  for (const name of ["web1", "web2"]) {
    const gate = `127.0.0.1:${port}`;
    const command = [process.execPath, program, "connect", "--ca", certificate, gate, name, "22"].join(" ");
    const target = {
      host: name,
      port: 22,
      user: me,
      knownHosts: lab.sshd.knownHosts,
      identity: lab.key.path,
    };
    const alias = `HostKeyAlias=[127.0.0.1]:${lab.sshd.port}`;
    const stock = await runSsh(target, ["echo $TARGET"], { options: [`ProxyCommand=${command}`, alias] });
    assert.equal(stock.stdout.toString(), `${name}\n`, stock.stderr);
    const via = ["--via", "sni", "--gate", gate, "--ca", certificate, "-o", alias];
    await using child = lab.postern(["ssh", ...lab.options, ...via, `${me}@${name}`, "echo $TARGET"]);
    const own = await child.outcome();
    assert.equal(own.stdout.toString(), `${name}\n`, own.stderr);
  }
});

test("an HTTP proxy that wants a login: with it the way is open, without it 407 is explained", {
  skip,
}, async () => {
  await using lab = await startClientLab();
  const port = await freePort();
  const file = lab.folder.at("tinyproxy.conf");
  const lines = [
    `Port ${port}`,
    "Listen 127.0.0.1",
    "Timeout 600",
    "BasicAuth ada secret",
    "Allow 127.0.0.1",
  ];
  await writeFile(file, `${lines.join("\n")}\n`);
  await using proxy = new Child(stranger("tinyproxy"), ["-d", "-c", file]);
  await listening(proxy, port);
  const through = async (
    ...words: string[]
  ): Promise<{ stdout: string; stderr: string; code: number | null }> => {
    const place = ["127.0.0.1", String(lab.sshd.port)];
    const proxyCommand = [process.execPath, program, "connect", "--via", "connect", ...words, ...place].join(
      " ",
    );
    const { host, port: at, knownHosts } = lab.sshd;
    const target = { host, port: at, user: me, knownHosts, identity: lab.key.path };
    const { code, stdout, stderr } = await runSsh(target, ["echo in"], {
      options: [`ProxyCommand=${proxyCommand}`],
    });
    return { code, stdout: stdout.toString(), stderr };
  };
  const right = await through(`http://ada:secret@127.0.0.1:${port}`);
  assert.equal(right.stdout, "in\n", right.stderr);
  const without = await through(`127.0.0.1:${port}`);
  assert.equal(without.code, 255);
  assert.match(without.stderr, /it wants a user and a password \(40[17][^)]*\): give --proxy-user/);
  const gate = ["--via", "connect", "--gate", `http://ada:secret@127.0.0.1:${port}`];
  const { knownHosts } = lab.sshd;
  const words = [
    "-F",
    "none",
    "-i",
    lab.key.path,
    "-o",
    `UserKnownHostsFile=${knownHosts}`,
    "-o",
    "BatchMode=yes",
  ];
  const alias = ["-o", `HostKeyAlias=[127.0.0.1]:${lab.sshd.port}`];
  await using child = lab.postern(["ssh", ...words, ...alias, ...gate, lab.destination, "echo in"]);
  const own = await child.outcome();
  assert.equal(own.stdout.toString(), "in\n", own.stderr);
});

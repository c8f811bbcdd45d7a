/** Host certificates: whoever trusts the CA sees no fingerprint question, and nobody else sees a difference. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { startAgent } from "#test/support/agent";
import { succeed } from "#test/support/child";
import { type Pieces, postern, startGateway, type Gateway } from "#test/support/gateway";
import { runSsh, type SshOptions } from "#test/support/ssh";
import { missing } from "#test/support/strangers";
import { bareKey, certify, type KeyFiles, makeKey } from "#test/support/test-keys";
import { keyRule, startParts, type Parts } from "#test/support/world";

const skip = missing("ssh", "sshd");
const name = "web.gate.example";
let parts: Parts & AsyncDisposable;
let authority: KeyFiles;

before(async () => {
  if (skip !== false) return;
  parts = await startParts();
  authority = parts.keys.key("ed25519", "host-authority");
});
after(async () => {
  await parts?.[Symbol.asyncDispose]();
});

/** A client that trusts the CA for the names of the gateway, and knows no key; asked for the name, it goes to loopback. */
async function connect(gateway: Gateway, knownHosts: string, options: SshOptions = {}) {
  const file = gateway.folder.at("client_known_hosts");
  await writeFile(file, `${knownHosts}\n`);
  const target = gateway.target(parts.user.name, parts.identity.path);
  return await runSsh({ ...target, host: name, knownHosts: file }, ["echo in"], {
    ...options,
    flags: ["-v"],
    options: [`HostName=127.0.0.1`, `HostKeyAlias=${name}`, ...(options.options ?? [])],
  });
}

const trusts = (key: KeyFiles): string => `@cert-authority *.gate.example ${bareKey(key.publicLine)}`;

async function gatewayWith(
  make: (host: KeyFiles[], at: (name: string) => string) => Promise<Pieces> | Pieces,
): Promise<Gateway> {
  const gateway = await startGateway({ hostKeys: ["ed25519", "rsa"], rules: [keyRule(parts)] });
  const config = await make([...gateway.hostKeys], (file) => gateway.folder.at(file));
  await gateway.rewrite([keyRule(parts)], config);
  gateway.signal("SIGHUP");
  await gateway.waitForLog("reload", ({ event }) => event === "reloaded");
  return gateway;
}

function listing(keys: readonly KeyFiles[], ...more: readonly string[]): Pieces {
  return { hostKeys: [...keys.map(({ path }) => path), ...more] };
}

test("a certificate beside its key: a client that trusts the CA asks nothing", { skip }, async () => {
  await using gateway = await gatewayWith((keys) => {
    for (const key of keys) certify(authority, key, { host: true, principals: [name] });
    return listing(keys);
  });
  const { code, stdout, stderr } = await connect(gateway, trusts(authority));
  assert.equal(code, 0, stderr);
  assert.equal(stdout.toString(), "in\n");
  assert.match(stderr, /Server host certificate: ssh-ed25519-cert-v01@openssh\.com/);
  assert.match(stderr, /matches a trusted CA|is known and matches the ED25519-CERT host certificate/);
  const rsa = await connect(gateway, trusts(authority), {
    options: ["HostKeyAlgorithms=rsa-sha2-512-cert-v01@openssh.com"],
  });
  assert.equal(rsa.code, 0, rsa.stderr);
  const small = await connect(gateway, trusts(authority), {
    options: ["HostKeyAlgorithms=rsa-sha2-256-cert-v01@openssh.com", "RekeyLimit=16K"],
  });
  assert.equal(small.code, 0, small.stderr);
});

test("whoever knows the key and no CA is served as before", { skip }, async () => {
  await using gateway = await gatewayWith((keys) => {
    for (const key of keys) certify(authority, key, { host: true, principals: [name] });
    return listing(keys);
  });
  for (const key of gateway.hostKeys) {
    const { code, stderr } = await connect(gateway, `${name} ${bareKey(key.publicLine)}`);
    assert.equal(code, 0, stderr);
  }
  const plain = await connect(gateway, `${name} ${bareKey(gateway.hostKeys[0]?.publicLine ?? "")}`, {
    options: ["HostKeyAlgorithms=ssh-ed25519"],
  });
  assert.equal(plain.code, 0, plain.stderr);
  const wrong = await connect(gateway, trusts(parts.keys.key("ed25519", "other-authority")));
  assert.equal(wrong.code, 255);
  assert.match(wrong.stderr, /Host key verification failed/);
});

test("hostkeys-00 announces the plain keys, which a client then learns", { skip }, async () => {
  await using gateway = await gatewayWith((keys) => {
    for (const key of keys) certify(authority, key, { host: true, principals: [name] });
    return listing(keys);
  });
  const first = bareKey(gateway.hostKeys[0]?.publicLine ?? "");
  const { code, stderr } = await connect(gateway, `${name} ${first}`, {
    options: ["UpdateHostKeys=yes", "HostKeyAlgorithms=ssh-ed25519,rsa-sha2-512"],
  });
  assert.equal(code, 0, stderr);
  const learnt = await readFile(gateway.folder.at("client_known_hosts"), "utf8");
  for (const key of gateway.hostKeys)
    assert.ok(learnt.includes(bareKey(key.publicLine)), `${learnt}\n${stderr}`);
  assert.ok(!learnt.includes("-cert-v01"), learnt);
});

test("a certificate may be listed, wherever it is", { skip }, async () => {
  await using gateway = await gatewayWith(async (keys, at) => {
    const [key] = keys;
    assert.ok(key !== undefined);
    const certificate = certify(authority, key, { host: true, principals: [name] });
    await mkdir(at("elsewhere"));
    const moved = at("elsewhere/host.pub");
    await succeed("mv", [certificate, moved]);
    return listing(keys, moved);
  });
  const { code, stderr } = await connect(gateway, trusts(authority));
  assert.equal(code, 0, stderr);
});

test("a certificate that is out of time, or a user's, is passed over with a warning", { skip }, async () => {
  const cases: readonly (readonly [string, (key: KeyFiles) => string, RegExp])[] = [
    [
      "expired",
      (key) => certify(authority, key, { host: true, principals: [name], more: ["-V", "20200101:20210101"] }),
      /expired/,
    ],
    ["user", (key) => certify(authority, key, { principals: [name] }), /user certificate/],
  ];
  for (const [what, make, reason] of cases) {
    await using gateway = await gatewayWith((keys) => {
      const [key] = keys;
      assert.ok(key !== undefined);
      make(key);
      return listing(keys);
    });
    const [warning] = gateway.events("host-certificate-unusable");
    assert.match(String(warning?.["reason"]), reason, what);
    const { code, stderr } = await connect(
      gateway,
      `${name} ${bareKey(gateway.hostKeys[0]?.publicLine ?? "")}`,
    );
    assert.equal(code, 0, stderr);
    assert.doesNotMatch(stderr, /Server host certificate/);
  }
});

test("a listed certificate for another key stops the start, in words", { skip }, async () => {
  await using gateway = await gatewayWith((keys) => listing(keys));
  const stranger = makeKey(gateway.folder.at("stranger"));
  const certificate = certify(authority, stranger, { host: true, principals: [name] });
  await gateway.rewrite([keyRule(parts)], listing(gateway.hostKeys, certificate));
  const { code, stderr } = await postern(["check", "-c", gateway.configFile]);
  assert.notEqual(code, 0);
  assert.match(stderr, /stranger-cert\.pub: it is for none of the host keys/);
});

async function ca(...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await postern(["ca", ...args]);
  assert.equal(code, 0, stderr);
  return stdout.toString();
}

test("postern ca sign-host certifies the gateway's keys; show prints what clients need", {
  skip,
}, async () => {
  await using gateway = await gatewayWith((keys) => listing(keys));
  const config = ["-c", gateway.configFile];
  await ca("init", "--host", ...config);
  const said = await ca("sign-host", ...config, "-n", `gate.example,${name}`);
  for (const { path } of gateway.hostKeys)
    assert.ok(said.includes(`${path}-cert.pub: gate.example,${name} until `), said);
  gateway.signal("SIGHUP");
  await gateway.waitForLog("another reload", () => gateway.events("reloaded").length > 1);
  const known = await ca("show", "--host", ...config, "-n", "*.gate.example");
  assert.match(known, /^# SHA256:\S+ \(current\)\n@cert-authority \*\.gate\.example ssh-ed25519 AAAA/);
  const { code, stderr } = await connect(gateway, known);
  assert.equal(code, 0, stderr);
  assert.match(stderr, /Server host certificate: ssh-ed25519-cert-v01@openssh\.com/);
  const shown = await succeed("ssh-keygen", ["-L", "-f", `${gateway.hostKeys[0]?.path}-cert.pub`]);
  assert.match(shown, /host certificate/);
  assert.match(shown, /Extensions: \(none\)/);
});

test("postern ca sign-host: the CA's key may be in an ssh-agent", { skip }, async () => {
  await using gateway = await gatewayWith((keys) => listing(keys));
  await using agent = await startAgent([authority.path]);
  const socket = ["--socket", agent.socket, "--key", authority.fingerprint];
  await ca("sign-host", "-c", gateway.configFile, "-n", name, "--valid", "1d", ...socket);
  gateway.signal("SIGHUP");
  await gateway.waitForLog("another reload", () => gateway.events("reloaded").length > 1);
  const { code, stderr } = await connect(gateway, trusts(authority));
  assert.equal(code, 0, stderr);
});

test("postern ca: what cannot be done is told in words", { skip }, async () => {
  await using gateway = await gatewayWith((keys) => listing(keys));
  const config = ["-c", gateway.configFile];
  const cases: readonly (readonly [readonly string[], RegExp])[] = [
    [["sign-host", ...config, "-n", name], /host_ca_key.*postern ca init|postern ca init.*host_ca_key/s],
    [["sign-host", ...config, "-n", "not a name"], /is no host name/],
    [["sign-host", ...config, "-n", name, "--valid", "0"], /at least 60 seconds/],
    [["sign-host", ...config, "-n", name, "--valid", "soon"], /is no duration/],
    [["sign-host", ...config], /names/],
    [["sign-host", ...config, "-n", name, "--socket", "/none"], /--socket and --key together/],
    [["show", ...config], /postern ca init/],
    [["rotate", "--finish", ...config], /no rotation is going on/],
  ];
  for (const [args, words] of cases) {
    const { code, stderr } = await postern(["ca", ...args]);
    assert.notEqual(code, 0);
    assert.match(stderr, words);
  }
});
